"""The event loop of simulations: time jumps, threads are refused, standstill is an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from rivetless.testing.simulation import loop as loop_module
from rivetless.testing.simulation.clock import EPOCH, SKEW, SimClock
from rivetless.testing.simulation.loop import Deadlock, Runaway, SimLoop
from rivetless.testing.simulation.vitality import Vitality

T = TypeVar("T")


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    made = SimLoop()
    yield made
    made.close()


def run(loop: SimLoop, work: Coroutine[Any, Any, T]) -> T:
    return loop.run_until_complete(work)


def test_a_year_passes_at_once(loop: SimLoop) -> None:
    began = time.monotonic()
    run(loop, asyncio.sleep(365 * 86400))
    assert loop.time() == 365 * 86400
    assert time.monotonic() - began < 5


def test_timers_fire_in_their_order(loop: SimLoop) -> None:
    order: list[int] = []

    async def wait(seconds: int) -> None:
        await asyncio.sleep(seconds)
        order.append(seconds)

    async def main() -> None:
        await asyncio.gather(*map(wait, (3, 1, 2)))

    run(loop, main())
    assert order == [1, 2, 3]


def test_threads_are_refused(loop: SimLoop) -> None:
    with pytest.raises(RuntimeError, match="asks for a thread"):
        run(loop, asyncio.to_thread(time.time))


def test_a_standstill_is_an_error_that_says_what_waits(loop: SimLoop) -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    loop.blocked = lambda: "c1 waits."
    with pytest.raises(Deadlock, match=r"no timer is set\. c1 waits\."):
        run(loop, main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    run(loop, asyncio.sleep(0))


def test_what_goes_on_for_ever_is_an_error(loop: SimLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "MOST_STEPS", 1000)

    async def main() -> None:
        for _ in range(2000):
            await asyncio.sleep(1)

    with pytest.raises(Runaway):
        run(loop, main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    run(loop, asyncio.sleep(0))


def test_a_frozen_process_has_no_timers_until_it_thaws(loop: SimLoop) -> None:
    vitality = Vitality()
    clock = SimClock(loop, vitality, skew=0.5)
    fired: list[float] = []

    async def main() -> None:
        clock.call_later(1, lambda: fired.append(clock.now()))
        taken_back = clock.call_later(1, lambda: fired.append(-1))
        vitality.freeze()
        await asyncio.sleep(5)
        assert fired == []
        taken_back.cancel()
        vitality.thaw()
        await asyncio.sleep(0)

    run(loop, main())
    assert fired == [EPOCH + 5.5]


def test_a_dead_process_has_none_ever(loop: SimLoop) -> None:
    vitality = Vitality()
    clock = SimClock(loop, vitality)
    fired: list[int] = []

    async def main() -> None:
        clock.call_later(1, lambda: fired.append(1))
        vitality.die()
        vitality.thaw()
        await asyncio.sleep(5)

    run(loop, main())
    assert fired == []


def test_a_clock_that_drifts_is_wrong_by_no_more_than_the_bound(loop: SimLoop) -> None:
    clock = SimClock(loop, Vitality(), skew=-0.5, drift=0.005)
    fired: list[float] = []

    async def main() -> None:
        clock.call_later(100.5, lambda: fired.append(loop.time()))
        await asyncio.sleep(100)
        assert clock.now() == pytest.approx(EPOCH + 100.0)
        await asyncio.sleep(1000)
        assert clock.now() == EPOCH + 1100.0 + SKEW

    run(loop, main())
    assert fired == [pytest.approx(100.0)]


def test_a_clock_that_is_put_back_leaves_its_timers(loop: SimLoop) -> None:
    clock = SimClock(loop, Vitality(), skew=0.5, drift=-0.001)
    fired: list[tuple[float, float]] = []

    async def main() -> None:
        clock.call_later(0.999, lambda: fired.append((loop.time(), clock.now())))
        await asyncio.sleep(0.5)
        clock.jump(-0.75)
        await asyncio.sleep(1)

    run(loop, main())
    [(at, reading)] = fired
    assert at == pytest.approx(1.0)
    assert reading == pytest.approx(EPOCH + 0.25 - 0.0005, abs=1e-6)
