"""Doorbells of AWS: which rings go through the queue, which through schedules, which not at all."""

import json
from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import AnswerLost, NotSent, Payload, ServiceError
from rivetless.aws.scheduler import Schedules
from rivetless.aws.sqs import Queue
from rivetless.hosts.aws_lambda.doorbells import FARTHEST, AwsDoorbells, schedule_name
from rivetless.keys import actor_id
from rivetless.runtime.ports import Ring, WakeError
from rivetless.testing.contracts.base import address
from tests.unit.aws.scripted import QuickClock, ScriptedClient

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/wakes"
ACTOR = actor_id(address("ringing"), 1)
OTHER = actor_id(address("ringing too"), 1)
NOW = 1_700_000_000.0
ENVIRON = {
    "RIVETLESS_WAKE_QUEUE_URL": URL,
    "RIVETLESS_WAKE_QUEUE_ARN": "arn:aws:sqs:us-east-1:123456789012:wakes",
    "RIVETLESS_SCHEDULE_GROUP": "wakes",
    "RIVETLESS_SCHEDULE_ROLE_ARN": "arn:aws:iam::123456789012:role/scheduler",
}


class Rig:
    """Doorbells, the services behind them and the time."""

    def __init__(self) -> None:
        self.clock = QuickClock()
        self.sqs = ScriptedClient()
        self.scheduler = ScriptedClient()
        queue = Queue(URL, client=self.sqs, clock=self.clock)
        schedules = Schedules(
            "wakes", target="arn:q", role="arn:r", client=self.scheduler, clock=self.clock
        )
        self.doorbells = AwsDoorbells(queue, schedules, clock=self.clock)

    async def ring(self, *rings: Ring) -> None:
        await self.doorbells.ring(rings)

    @property
    def sent(self) -> list[tuple[dict[str, object], int]]:
        """The messages sent, each with its delay."""
        found: list[Payload] = []
        for _, payload in self.sqs.calls:
            found += payload.get("Entries", [payload])
        return [(json.loads(one["MessageBody"]), one.get("DelaySeconds", 0)) for one in found]

    @property
    def scheduled(self) -> list[tuple[str, str]]:
        """Names and instants of the schedules made."""
        return [(made["Name"], made["ScheduleExpression"]) for _, made in self.scheduler.calls]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    async with rig.doorbells:
        yield rig


async def test_now(rig: Rig) -> None:
    await rig.ring(Ring(ACTOR, hops=3), Ring(OTHER, at=NOW - 5))
    assert rig.sent == [
        ({"rivetless": "wake", "actor": ACTOR, "hops": 3}, 0),
        ({"rivetless": "wake", "actor": OTHER, "hops": 0}, 0),
    ]


@pytest.mark.parametrize(
    ("after", "delay"), [(0.001, 1), (1, 1), (1.5, 2), (899.2, 900), (900, 900)]
)
async def test_soon(rig: Rig, after: float, delay: int) -> None:
    await rig.ring(Ring(ACTOR, at=NOW + after))
    assert rig.sent == [({"rivetless": "wake", "actor": ACTOR, "hops": 0}, delay)]
    assert rig.scheduled == []


async def test_later(rig: Rig) -> None:
    await rig.ring(Ring(ACTOR, at=NOW + 900.5, hops=1))
    assert rig.sent == []
    assert rig.scheduled == [(f"rl-{ACTOR}-1700000901", "at(2023-11-14T22:28:21)")]
    (_, made), *_ = rig.scheduler.calls
    body = json.loads(made["Target"]["Input"])
    assert body == {"rivetless": "wake", "actor": ACTOR, "hops": 1}
    assert made["ActionAfterCompletion"] == "DELETE"


def test_names_fit() -> None:
    name = schedule_name(ACTOR, 99_999_999_999)
    assert len(name) <= 64
    assert name.replace("-", "").isalnum()


async def test_far_off(rig: Rig) -> None:
    await rig.ring(Ring(ACTOR, at=NOW + FARTHEST + 1), Ring(ACTOR, at=float("inf")))
    assert (rig.sent, rig.scheduled) == ([], [])


async def test_a_schedule_that_is_there_is_fine(rig: Rig) -> None:
    rig.scheduler.answers = [ServiceError("ConflictException", 409, "there is one", {})]
    await rig.ring(Ring(ACTOR, at=NOW + 3600))
    assert len(rig.scheduled) == 1


async def test_the_same_ring_is_sent_once(rig: Rig) -> None:
    await rig.ring(Ring(ACTOR), Ring(ACTOR), Ring(ACTOR, at=NOW + 30), Ring(ACTOR, at=NOW + 30))
    assert [delay for _, delay in rig.sent] == [0, 30]
    await rig.ring(Ring(ACTOR, at=NOW + 30), Ring(OTHER, at=NOW + 30))
    assert [message["actor"] for message, _ in rig.sent] == [ACTOR, ACTOR, OTHER]
    for _ in range(2):
        await rig.ring(Ring(ACTOR, at=NOW + 3600))
    assert len(rig.scheduled) == 1


async def test_a_thousand_calls_arm_few_timers(rig: Rig) -> None:
    for _ in range(1000):
        rig.clock.time += 0.005
        await rig.ring(Ring(ACTOR, at=rig.clock.now() + 30))
    assert len(rig.sent) <= 7


async def test_what_was_sent_is_not_remembered_for_ever(rig: Rig) -> None:
    later = NOW + 3600
    await rig.ring(*(Ring(ACTOR, at=later + number) for number in range(5000)))
    made = len(rig.scheduled)
    await rig.ring(Ring(ACTOR, at=later + 4999), Ring(ACTOR, at=later))
    assert [name for name, _ in rig.scheduled[made:]] == [schedule_name(ACTOR, int(later))]


async def test_what_is_due_may_have_come_already(rig: Rig) -> None:
    await rig.ring(Ring(ACTOR, at=NOW + 30))
    rig.clock.time += 29.5
    await rig.ring(Ring(ACTOR, at=NOW + 30))
    rig.clock.time += 1
    await rig.ring(Ring(ACTOR, at=NOW + 30))
    assert [delay for _, delay in rig.sent] == [30, 1, 0]


async def test_many_rings_are_batches(rig: Rig) -> None:
    await rig.ring(*(Ring(actor_id(address(f"a{number}"), 1)) for number in range(25)))
    assert rig.sqs.operations == ["SendMessageBatch"] * 3
    assert len(rig.sent) == 25


@pytest.mark.parametrize(
    "error",
    [NotSent("no"), AnswerLost("no"), ServiceError("AccessDenied", 403, "no", {})],
    ids=["not sent", "lost", "denied"],
)
async def test_failures_are_told(rig: Rig, error: Exception) -> None:
    def fail(operation: str, payload: Payload) -> Payload:
        rig.sqs.answers.append(fail)
        raise error

    rig.sqs.answers = [fail]
    with pytest.raises(WakeError, match="no"):
        await rig.ring(Ring(ACTOR, at=NOW + 30), Ring(OTHER, at=NOW + 3600))
    # What failed does not count as sent, and does not keep the others from it.
    assert len(rig.scheduled) == 1
    rig.sqs.answers, rig.sqs.calls = [], []
    rig.clock.time = NOW
    await rig.ring(Ring(ACTOR, at=NOW + 30))
    assert len(rig.sent) == 1


async def test_a_mistake_is_no_failure_to_wake(rig: Rig) -> None:
    rig.sqs.answers = [KeyError("ours")]
    with pytest.raises(KeyError):
        await rig.ring(Ring(ACTOR))


# -- configuration --------------------------------------------------------------------------------


async def test_without_schedules_the_sweeper_is_left_what_is_far() -> None:
    client = ScriptedClient()
    clock = QuickClock()
    async with AwsDoorbells(Queue(URL, client=client, clock=clock), clock=clock) as doorbells:
        await doorbells.ring([Ring(ACTOR, at=NOW + 3600)])
        await doorbells.ring([Ring(ACTOR, at=NOW + 36)])
    assert client.operations == ["SendMessage"]


def test_the_queue_must_be_named() -> None:
    with pytest.raises(ValueError, match="RIVETLESS_WAKE_QUEUE_URL"):
        AwsDoorbells.from_environment({})


def test_schedules_are_set_up_whole_or_not_at_all() -> None:
    AwsDoorbells.from_environment(ENVIRON)
    AwsDoorbells.from_environment({"RIVETLESS_WAKE_QUEUE_URL": URL})
    for name in ENVIRON.keys() - {"RIVETLESS_WAKE_QUEUE_URL"}:
        with pytest.raises(ValueError, match=f"Set {name} too"):
            AwsDoorbells.from_environment(ENVIRON | {name: ""})


def test_fifo_queues_have_no_delays() -> None:
    with pytest.raises(ValueError, match="standard"):
        AwsDoorbells(Queue(f"{URL}.fifo", client=ScriptedClient()))
