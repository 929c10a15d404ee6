"""What lies between a process and everything else: the one place where calls go wrong."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from types import CodeType, FrameType
from typing import Final, TypeVar

from rivetless.frozen import frozen
from rivetless.testing.simulation.choices import Choices, Draw, FaultId
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.trace import Trace
from rivetless.testing.simulation.vitality import Vitality
from rivetless.testing.simulation.weather import Fault, Menu, Weather

__all__ = ["CallSites", "Network", "Port", "Site"]

T = TypeVar("T")

Site = tuple[str, int]
"""A place in the code: its file, from ``rivetless/`` on, and its line."""

LATENCY: Final = (0.0005, 0.004)
"""Seconds that a call takes when nothing delays it: least and most."""

NOT_MADE: Final = (
    Fault.REFUSED,
    Fault.THROTTLED,
    Fault.VANISHED,
    Fault.LATE,
    Fault.PUSH_LOST,
)
"""The faults of calls that are not made, or not now."""

_OURS: Final = "/rivetless/"
_INSIDE: Final = "/rivetless/testing/"
_PLAIN: Final = (
    "/rivetless/clock.py",
    "/rivetless/aws/retries.py",
    "/rivetless/store/dynamodb/calls.py",
)
_STORE: Final = "/rivetless/store/"


@frozen
class Port:
    """A kind of call that leaves a process.

    Attributes:
        name: what it is called in traces, and in the ids of its faults.
        faults: what can happen to it.
        refused: makes the error for a call that was certainly not made.
        lost: makes the error for a call of which nobody knows whether it was made.
        throttled: makes the error of a service that has no capacity.
        fails: whether it leads to what an outage makes unreachable.
    """

    name: str
    faults: Menu
    refused: Callable[[], Exception]
    lost: Callable[[], Exception]
    throttled: Callable[[], Exception] | None = None
    fails: bool = False


@cache
def _is_ours(code: CodeType) -> bool:
    name = code.co_filename
    return _OURS in name and _INSIDE not in name and not name.endswith(_PLAIN)


class CallSites:
    """Remembers from which places of the production code ports were called."""

    def __init__(self) -> None:
        self._seen: set[tuple[CodeType, int]] = set()

    def note(self) -> None:
        """Note the nearest caller that is not part of the simulator; a store's caller too."""
        frame: FrameType | None = inspect.currentframe()
        while frame is not None:
            code = frame.f_code
            if _is_ours(code):
                self._seen.add((code, frame.f_lineno))
                if _STORE not in code.co_filename:
                    return
            frame = frame.f_back

    @property
    def seen(self) -> frozenset[Site]:
        """The places."""
        return frozenset(
            ("rivetless/" + code.co_filename.rpartition(_OURS)[2], line)
            for code, line in self._seen
        )


class Network:
    """Carries the calls of processes, and lets happen to them what the weather brings.

    Args:
        loop: in whose time.
        choices: decides.
        weather: how often what goes wrong.
        trace: is told what went wrong.

    Attributes:
        counts: how often each kind of fault has happened.
        faults: those that have happened, in order.
        calls: the names of the calls that clients have made.
        ended: whether the run is over, so that nothing may have an effect any more.
        sites: from where calls were made.
    """

    def __init__(self, loop: SimLoop, choices: Choices, weather: Weather, trace: Trace) -> None:
        self._loop = loop
        self._choices = choices
        self._weather = weather
        self._trace = trace
        self._late: set[asyncio.Task[None]] = set()
        self.counts: Counter[Fault] = Counter()
        self.faults: list[FaultId] = []
        self.calls: list[str] = []
        self.sites: Final = CallSites()
        self.ended = False
        self._out_until = 0.0

    def fail(self, which: FaultId, seconds: float) -> None:
        """Make the store unreachable for a while, or until the weather is calm."""
        self.note(Fault.OUTAGE, which, "store", f"for {seconds:.3f} s")
        self._out_until = self._loop.time() + seconds

    @property
    def under_way(self) -> bool:
        """Whether a call is still to arrive that nobody waits for any more."""
        return bool(self._late)

    async def carry(
        self,
        process: Vitality,
        name: str,
        port: Port,
        call: Callable[[], Awaitable[T]],
        *,
        again: bool = False,
        what: object = "",
    ) -> T:
        """Make a call for a process.

        Args:
            process: whose call it is.
            name: of the process.
            port: which kind of call.
            call: makes it, where it arrives.
            again: whether it may arrive twice.
            what: what it is about, for the trace.

        Raises:
            Exception: what the call raises, or what the port says for the fault it has met.
        """
        if not process.awake:
            await process.wait()
        self.sites.note()
        if self._weather.calm:
            await asyncio.sleep(LATENCY[0])
            answer = await call()
            if not process.awake:
                await process.wait()
            return answer
        draw = self._choices.draw(f"{name} {port.name}")
        if port.fails and self._loop.time() < self._out_until:
            await asyncio.sleep(LATENCY[1])
            if not process.awake:
                await process.wait()
            raise port.refused()
        fault = self._weather.pick(port.faults, draw)
        if fault is Fault.DUPLICATED and not again:
            fault = None
        if fault is None:
            answer = await self._deliver(draw, call, port)
            if not process.awake:
                await process.wait()
            return answer
        self.note(fault, draw.id, name, port.name, what)
        return await self._break(fault, draw, process, port, call)

    def note(self, fault: Fault, which: FaultId, who: str, where: str, what: object = "") -> None:
        """Count a fault, and write it down."""
        self.counts[fault] += 1
        self.faults.append(which)
        self._trace.add(who, "! %s: %s %s", fault.value, where, what)

    async def _deliver(self, draw: Draw, call: Callable[[], Awaitable[T]], port: Port) -> T:
        """Make a call that nothing happens to; it takes a moment, there or back."""
        least, most = LATENCY
        pause = least if self._choices.plan.steady else least + (most - least) * draw.what
        if draw.first < 0.25:
            answer = await call()
            await asyncio.sleep(pause)
            return answer
        try:
            await asyncio.sleep(pause)
        except asyncio.CancelledError:
            # The caller has gone away. What it has sent arrives, or does not.
            if draw.second < 0.5 and not self.ended:
                self.arrive_later(pause, call)
            raise
        return await call()

    async def _break(
        self,
        fault: Fault,
        draw: Draw,
        process: Vitality,
        port: Port,
        call: Callable[[], Awaitable[T]],
    ) -> T:
        """Make a call that something happens to."""
        pause = 0.001 * 1000.0**draw.first  # from a millisecond to a second
        if fault is Fault.DIED_BEFORE:
            process.die()
        elif fault is Fault.FROZE_BEFORE:
            self.freeze(process, draw)
        elif fault is Fault.LATE:
            self.arrive_later(pause * 30, call)
        if not process.awake:
            await process.wait()
        if fault is Fault.GIVEN_UP:
            return await self._give_up(pause, port, call)
        if fault is not Fault.ANSWER_DELAYED:
            await asyncio.sleep(pause)
        if fault in NOT_MADE:
            if not process.awake:
                await process.wait()
            raise _error_of(fault, port)
        failure: Exception | None = None
        answer: T | None = None
        try:
            answer = await call()
        except Exception as error:
            failure = error
        if fault is Fault.ANSWER_DELAYED:
            await asyncio.sleep(pause)
        if fault is Fault.DUPLICATED and failure is None:
            # Whoever was refused has an answer, and sends nothing more.
            self.arrive_later(pause * draw.second, call)
        elif fault is Fault.DIED_AFTER:
            process.die()
        elif fault is Fault.FROZE_AFTER:
            self.freeze(process, draw)
        elif fault is Fault.UNACKNOWLEDGED:
            failure = port.lost()
        if not process.awake:
            await process.wait()
        if failure is not None:
            raise failure
        return answer  # type: ignore[return-value]

    async def _give_up(self, seconds: float, port: Port, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, and go away if its answer does not come soon."""
        task: asyncio.Task[T] = self._loop.create_task(_awaiting(call))
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        raise port.lost()

    def freeze(self, process: Vitality, draw: Draw) -> None:
        """Freeze a process, for less than a second up to longer than any lease or deadline.

        Not when all is calm by now: nobody would thaw it before it is looked what has come of all.
        """
        if process.awake and not self._weather.calm:
            process.freeze()
            self._loop.call_later(0.2 * 600.0**draw.second, process.thaw)

    def arrive_later(self, seconds: float, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call after a while; nobody hears of its answer."""

        async def late() -> None:
            await asyncio.sleep(seconds)
            if not self.ended:
                try:
                    await call()
                except Exception:
                    return  # nobody is there to hear of it

        task = self._loop.create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _awaiting(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _error_of(fault: Fault, port: Port) -> Exception:
    if fault is Fault.REFUSED:
        return port.refused()
    if fault is Fault.THROTTLED and port.throttled is not None:
        return port.throttled()
    return port.lost()
