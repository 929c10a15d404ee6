"""When calls are tried again; the pauses are the clock's."""

import asyncio

import pytest

from rivetless.client.calls import ById, ByKey, Target
from rivetless.client.retry import NO_RETRIES, RetryPolicy, is_lifecycle, is_stale, retrying
from rivetless.errors import ActorError
from rivetless.testing.clock import FakeClock, settle

GET = ByKey("counter", ("a",))
GET_OR_CREATE = ByKey("counter", ("a",), create=True)
FOR_ID = ById("id")

LIFECYCLE = [
    "actor.restarting",
    "guard.service_unavailable",
    "guard.actor_wake_retries_exceeded",
    "guard.actor_stopped_while_waiting",
    "guard.tunnel_request_aborted",
    "guard.tunnel_message_timeout",
    "guard.tunnel_response_closed",
    "guard.gateway_response_start_timeout",
]
STALE = [
    "actor.not_found",
    "actor.starting",
    "actor.stopping",
    "actor.not_configured",
    "actor.dropped_reply",
    "actor.destroying",
    "actor.destroyed_during_creation",
]


def error(name: str, message: str = "", metadata: object = None) -> ActorError:
    group, _, code = name.partition(".")
    return ActorError(group, code, message, metadata)


class Attempts:
    """A call that fails for ever, or answers at last."""

    def __init__(self, failure: ActorError, good_after: int | None = None) -> None:
        self.failure = failure
        self.good_after = good_after
        self.times: list[float] = []

    async def run(
        self, target: Target, policy: RetryPolicy | None = None, *, queue: bool = False
    ) -> ActorError | None:
        clock = FakeClock()
        begin = clock.now()

        async def attempt() -> None:
            self.times.append(round(clock.now() - begin, 3))
            if self.good_after is None or len(self.times) < self.good_after:
                raise self.failure

        task = asyncio.ensure_future(
            retrying(attempt, target, policy or RetryPolicy(), clock, queue=queue)
        )
        await settle()
        await clock.advance(3600)
        try:
            await task
        except ActorError as failure:
            return failure
        return None


@pytest.mark.parametrize("name", LIFECYCLE)
async def test_lifecycle_is_tried_five_times_with_doubling_pauses(name: str) -> None:
    attempts = Attempts(error(name))
    failure = await attempts.run(FOR_ID)
    assert failure is attempts.failure
    assert attempts.times == [0, 0.025, 0.075, 0.175, 0.375]


async def test_the_pause_has_a_limit() -> None:
    attempts = Attempts(error("actor.restarting"))
    await attempts.run(FOR_ID, RetryPolicy(lifecycle_tries=7))
    assert attempts.times[-2:] == [0.575, 0.775]


@pytest.mark.parametrize("name", STALE)
async def test_keys_wait_for_their_actor(name: str) -> None:
    for target, tries in ((GET, 24), (GET_OR_CREATE, 60), (FOR_ID, 1)):
        attempts = Attempts(error(name))
        assert await attempts.run(target) is attempts.failure
        assert attempts.times == [round(index * 0.1, 3) for index in range(tries)]


@pytest.mark.parametrize("name", ["guard.actor_ready_timeout", "guard.actor_runner_failed"])
async def test_scheduling_errors_are_tried_again_for_keys(name: str) -> None:
    attempts = Attempts(error(name), good_after=3)
    assert await attempts.run(GET) is None
    attempts = Attempts(error(name))
    await attempts.run(FOR_ID)
    assert len(attempts.times) == 1


@pytest.mark.parametrize(
    "name", ["user.bad", "actor.action_not_found", "actor.conflict", "client.answer_lost"]
)
async def test_others_are_not(name: str) -> None:
    attempts = Attempts(error(name))
    assert await attempts.run(GET_OR_CREATE) is attempts.failure
    assert attempts.times == [0]


async def test_a_full_inbox_is_tried_again_for_queues_only() -> None:
    full = error(
        "actor.overloaded",
        metadata={"channel": "dispatch_inbox", "operation": "dispatch_queue_send"},
    )
    attempts = Attempts(full, good_after=2)
    assert await attempts.run(GET, queue=True) is None
    attempts = Attempts(full, good_after=2)
    assert await attempts.run(GET) is full
    other = error("actor.overloaded", metadata={"channel": "other"})
    assert await Attempts(other, good_after=2).run(GET, queue=True) is other
    assert await Attempts(error("actor.overloaded"), good_after=2).run(GET, queue=True)


async def test_a_life_that_ended_while_waiting_is_not_found() -> None:
    attempts = Attempts(error("actor.destroyed_while_waiting_for_ready"))
    failure = await attempts.run(FOR_ID)
    assert failure is not None
    assert failure.name == "actor.not_found"


async def test_a_success_ends_it() -> None:
    attempts = Attempts(error("actor.restarting"), good_after=3)
    assert await attempts.run(GET) is None
    assert len(attempts.times) == 3


async def test_without_retries() -> None:
    for name in (*LIFECYCLE, *STALE):
        attempts = Attempts(error(name))
        await attempts.run(GET_OR_CREATE, NO_RETRIES)
        assert attempts.times == [0]


async def test_a_lost_answer_is_asked_for_again_only_with_a_key() -> None:
    clock = FakeClock()
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise error("client.answer_lost")
        return "stored"

    task = asyncio.ensure_future(retrying(attempt, FOR_ID, RetryPolicy(), clock, keyed=True))
    await settle()
    await clock.advance(1)
    assert await task == "stored"


def test_older_servers_are_understood() -> None:
    assert is_lifecycle(error("actor.internal_error", "Actor is stopping"))
    assert not is_lifecycle(error("actor.internal_error", "Other"))


def test_only_the_actor_group_is_stale() -> None:
    assert not is_stale(error("user.not_found"))
