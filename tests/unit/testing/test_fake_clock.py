"""The fake clock, and what waits on a clock."""

import asyncio
from datetime import timedelta

import pytest
import uvloop

from rivetless.clock import Clock, SystemClock, Timeout, sleep, within
from rivetless.testing.clock import FakeClock, settle

pytestmark = pytest.mark.anyio


def test_it_is_a_clock() -> None:
    assert isinstance(FakeClock(), Clock)
    assert FakeClock(5.0).now() == 5.0


async def test_timers_fire_in_order_and_at_their_time() -> None:
    clock = FakeClock(100.0)
    fired: list[tuple[str, float]] = []
    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("b2", 2.0), ("now", -1.0)):
        clock.call_later(seconds, lambda name=name: fired.append((name, clock.now())))  # type: ignore[misc]
    await clock.advance(2.5)
    assert fired == [("now", 100.0), ("a", 101.0), ("b", 102.0), ("b2", 102.0)]
    assert (clock.now(), clock.next_at) == (102.5, 103.0)
    await clock.advance(timedelta(seconds=0.5))
    assert fired[-1] == ("c", 103.0)
    assert clock.next_at is None


async def test_cancelled_timers_do_not_fire() -> None:
    clock = FakeClock()
    fired: list[str] = []
    timer = clock.call_later(1.0, lambda: fired.append("x"))
    timer.cancel()
    assert clock.next_at is None
    await clock.advance(5)
    assert fired == []
    timer.cancel()


async def test_what_a_timer_begins_goes_on_within_the_same_advance() -> None:
    clock = FakeClock(0.0)
    seen: list[float] = []

    async def tick() -> None:
        while True:
            await sleep(clock, 1.5)
            # Several passes of the loop later, but still at this instant.
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append(clock.now())

    task = asyncio.ensure_future(tick())
    await clock.advance(5)
    assert seen == [1.5, 3.0, 4.5]
    task.cancel()


async def test_time_does_not_go_backwards_but_may_jump() -> None:
    clock = FakeClock(10.0)
    with pytest.raises(ValueError, match="backwards"):
        await clock.advance(-1)
    fired: list[float] = []
    clock.call_later(1.0, lambda: fired.append(clock.now()))
    clock.jump(-5)
    assert clock.now() == 5.0
    clock.jump(100)
    assert fired == []
    await clock.advance(0)
    assert fired == [105.0]


async def test_settling_finds_what_never_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivetless.testing.clock._MOST_PASSES", 50)

    async def spin() -> None:
        for _ in range(1_000):
            await asyncio.sleep(0)

    task = asyncio.ensure_future(spin())
    with pytest.raises(RuntimeError, match="does not come to rest"):
        await settle()
    task.cancel()


def test_settling_on_another_loop() -> None:
    done: list[int] = []

    async def work() -> None:
        for number in range(20):
            await asyncio.sleep(0)
            done.append(number)

    async def main() -> None:
        task = asyncio.ensure_future(work())
        await settle()
        assert task.done()

    uvloop.run(main())
    assert len(done) == 20


async def test_system_clock_calls_back() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    clock.call_later(0.0, called.set)
    await called.wait()
    assert clock.now() > 1_700_000_000


async def test_sleep_ends_with_its_task() -> None:
    clock = FakeClock()
    task = asyncio.ensure_future(sleep(clock, 5))
    await settle()
    pending = [clock.next_at]
    task.cancel()
    await settle()
    pending.append(clock.next_at)
    assert pending == [clock.now() + 5, None]
    await sleep(clock, 0)


async def test_within_ends_what_takes_too_long() -> None:
    clock = FakeClock()
    late = asyncio.ensure_future(within(clock, 2, asyncio.Event().wait()))
    await clock.advance(1.9)
    assert not late.done()
    await clock.advance(0.1)
    assert isinstance(late.exception(), TimeoutError)
    assert await within(clock, 2, asyncio.sleep(0, "x")) == "x"
    assert await within(clock, None, asyncio.sleep(0, "x")) == "x"
    assert clock.next_at is None


async def test_timeout_leaves_other_cancellations_alone() -> None:
    clock = FakeClock()

    async def body() -> None:
        async with Timeout(clock, 2):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(body())
    await clock.advance(1)
    task.cancel()
    await settle()
    assert task.cancelled()
    assert clock.next_at is None
