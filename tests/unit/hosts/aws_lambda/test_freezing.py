"""Environments that are frozen between two invocations: nothing goes on, nothing stale gets out."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

import pytest

from rivetless import Actor, Event, action
from rivetless.clock import SystemClock
from rivetless.hosts.aws_lambda.invocation import Invocation
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, OpenConnection, Subscribe
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from tests.unit.hosts.aws_lambda.functions import Function, MakeFunction, recorded
from tests.unit.runtime.worlds import Mailbox, SharedStore

SHORT = 0.3
"""Seconds of an invocation whose time is to run out."""


class Sleeper(Actor[int], name="counter"):
    """Tells everybody its state when it falls asleep."""

    initial_state = 0
    slept = Event[int]()
    began: ClassVar[list[str]] = []
    ended: ClassVar[list[str]] = []

    @action
    async def increment(self) -> int:
        self.state += 1
        return self.state

    @action
    async def linger(self) -> None:
        self.wait_until(self.work())

    async def work(self) -> None:
        self.began.append("work")
        await asyncio.Event().wait()
        self.ended.append("work")

    @action
    async def linger_on(self) -> None:
        self.wait_until(self.stubborn_work())

    async def stubborn_work(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    @action
    async def hang(self) -> None:
        self.state += 100
        self.began.append("hang")
        await asyncio.Event().wait()
        self.ended.append("hang")

    @action
    async def hang_on(self) -> None:
        await self.stubborn_work()

    @action
    async def leave_quick_work(self) -> None:
        self.wait_until(self.quick_work())

    async def quick_work(self) -> None:
        await asyncio.sleep(0)
        self.state += 1

    async def on_sleep(self) -> None:
        self.broadcast("slept", self.state)


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    Sleeper.began.clear()
    Sleeper.ended.clear()


class Connect:
    """An application's own event, for a connection that some host holds."""

    kind = "connect"

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        return cls() if "connect" in event else None

    async def handle(self, invocation: Invocation) -> object:
        target = ByKey(Address("default", "counter", ("k",)), create=True)
        info = await invocation.dispatch(OpenConnection(target, "c1", "events", "elsewhere"))
        await invocation.dispatch(Subscribe(info.actor_id, "c1", "slept", True))
        return None


class Thaw:
    """An application's own event; timers that have become due fire while it is handled."""

    kind = "thaw"

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        return cls() if "thaw" in event else None

    async def handle(self, invocation: Invocation) -> object:
        assert isinstance(invocation.clock, FakeClock)
        await invocation.clock.advance(0)
        return None


def test_an_actor_that_falls_asleep_after_a_thaw_tells_nothing_stale(
    make_function: MakeFunction,
) -> None:
    clock, mailbox = FakeClock(), Mailbox()
    store = SharedStore(MemoryStore(clock=clock))
    frozen = make_function(
        Sleeper, store=store, clock=clock, pusher=mailbox, events=[Connect, Thaw]
    )
    other = make_function(Sleeper, store=store, clock=FakeClock())
    frozen({"connect": True})
    assert frozen.call("increment")["output"] == 1
    clock.jump(3600)
    frozen({"thaw": True})  # the timer sees that the actor was used after it was set
    clock.jump(3600)
    assert other.call("increment")["output"] == 2
    assert mailbox.events == []
    frozen({"thaw": True})
    assert mailbox.events == [("slept", [2])]
    assert frozen.call("increment")["output"] == 3


def test_a_thawed_environment_answers_from_the_newest_state(make_function: MakeFunction) -> None:
    clock = FakeClock()
    store = SharedStore(MemoryStore(clock=clock))
    first, second = (make_function(Sleeper, store=store, clock=clock) for _ in range(2))
    answers = []
    for function in (first, second, first, first, second):
        clock.jump(900)
        answers.append(function.call("increment")["output"])
    assert answers == [1, 2, 3, 4, 5]


def test_an_invocation_waits_for_what_a_call_has_left(make_function: MakeFunction) -> None:
    function = make_function(Sleeper)
    function.call("leave_quick_work")
    assert not asyncio.all_tasks(function.handler._loop)
    assert function.call("increment")["output"] == 2


def test_work_without_an_end_ends_with_the_invocation(
    make_function: MakeFunction, caplog: pytest.LogCaptureFixture
) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    assert "error" not in function.call("linger", seconds=SHORT)
    assert (Sleeper.began, Sleeper.ended) == (["work"], [])
    assert not asyncio.all_tasks(function.handler._loop)
    assert "they are cancelled" in caplog.text
    assert function.call("increment")["output"] == 1


def test_work_that_cannot_be_cancelled_is_told(
    make_function: MakeFunction, caplog: pytest.LogCaptureFixture
) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    function.call("linger_on", seconds=SHORT)
    assert "do not end" in caplog.text
    assert function.call("increment")["output"] == 1
    loop = function.handler._loop
    assert loop is not None
    (task,) = asyncio.all_tasks(loop)
    task.cancel()
    loop.run_until_complete(asyncio.wait((task,)))


def test_a_call_that_takes_too_long_is_given_up_in_time(make_function: MakeFunction) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    function.call("increment")
    error = function.call("hang", seconds=SHORT)["error"]
    assert (error["group"], error["code"]) == ("actor", "action_timed_out")
    assert (Sleeper.began, Sleeper.ended) == (["hang"], [])
    assert function.call("increment")["output"] == 2


def test_nobody_knows_what_becomes_of_a_call_that_does_not_end(
    make_function: MakeFunction,
) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    error = function.call("hang_on", seconds=SHORT)["error"]
    assert (error["group"], error["code"]) == ("actor", "outcome_unknown")


def test_a_call_that_there_is_no_time_for_is_not_begun(function: Function) -> None:
    error = function.call("increment", seconds=0.0)["error"]
    assert (error["group"], error["code"]) == ("guard", "request_timeout")
    assert function.call("increment")["output"] == 1


def test_a_request_that_takes_too_long_is_told_so_in_http(make_function: MakeFunction) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    event = recorded("function_url")
    path = "/gateway/counter/action/hang"
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["body"] = '{"args":[]}'
    answer = function(event, seconds=SHORT)
    assert answer["statusCode"] == 408
    assert "action_timed_out" in answer["body"]


@pytest.mark.parametrize(
    ("name", "deadline"),
    [("rest_api_v1", 28.0), ("http_api_v2", 28.0), ("function_url", 899.0), ("alb", 899.0)],
)
def test_a_request_ends_before_api_gateway_does(
    name: str, deadline: float, make_function: MakeFunction
) -> None:
    seen: list[float | None] = []

    class Deadlines(MemoryStore):
        async def commit(self, *args: Any, **options: Any) -> int:
            door = serving.process.http
            assert door is not None
            seen.append(door._dispatcher.invocation.left)
            return await super().commit(*args, **options)

    serving: Function = make_function(Sleeper, store=Deadlines())
    event = recorded(name) | {"body": '{"args":[]}'}
    assert serving(event, seconds=900.0)["statusCode"] == 200
    assert seen == [pytest.approx(deadline)]


def test_messages_beside_one_that_takes_too_long_are_done(make_function: MakeFunction) -> None:
    function = make_function(Sleeper, clock=SystemClock())
    event = recorded("sqs")
    call = '{"rivetless":"call","name":"counter","key":["%s"],"create":true,"action":"%s"}'
    for record, key, name in zip(event["Records"], "ab", ("hang", "increment"), strict=True):
        record["body"] = call % (key, name)
    answer = function(event, seconds=SHORT)
    failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert failed == [event["Records"][0]["messageId"]]


def test_a_call_s_deadline_is_what_is_left_of_the_invocation(function: Function) -> None:
    deadlines = []

    class Look:
        kind = "look"

        @classmethod
        def match(cls, event: Mapping[str, Any]) -> "Look | None":
            return cls()

        async def handle(self, invocation: Invocation) -> object:
            deadlines.append(invocation.left)
            return None

    function.handler._sources = (Look,)
    for seconds in (30.0, 3.0, 0.0):
        function({}, seconds)
    assert deadlines == pytest.approx([29.0, 2.4, 0.0])
