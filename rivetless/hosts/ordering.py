"""Putting pushes of several processes in the order of their commits, within a short window.

Two processes may commit to one actor one after the other, and the later one's push may arrive
first.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from rivetless.clock import Clock, Timer
from rivetless.runtime.ports import Push

__all__ = ["Sequencer"]

WINDOW: Final = 0.01
"""Seconds that a push waits for those before it. Processes of one deployment are close by."""

MIXED: Final = 60.0
"""Seconds for which an actor counts as written by several processes after the last foreign push."""

_Held = tuple[int, int, int, Push, "asyncio.Future[frozenset[str]]"]


class _Actor:
    """One actor that several processes write to."""

    __slots__ = ("held", "mixed_until", "newest", "timer")

    def __init__(self) -> None:
        self.newest = 0
        self.mixed_until = 0.0
        self.held: list[_Held] = []
        self.timer: Timer | None = None


class Sequencer:
    """Delivers pushes to the sockets of this process, in order where several processes make them.

    As long as only this process pushes for an actor, nothing is held and nothing is remembered.
    Once another one has, a push that leaves out versions waits for a moment: they may be pushed
    still (or, since not every commit pushes anything, never).

    Args:
        deliver: hands pushes to the sockets and returns the connections that have none.
        clock: ends the wait.
    """

    def __init__(self, deliver: Callable[[Sequence[Push]], frozenset[str]], clock: Clock) -> None:
        self._deliver = deliver
        self._clock = clock
        self._actors: dict[str, _Actor] = {}
        self._arrivals = count()

    async def local(self, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver pushes of this process."""
        if not self._actors or not any(push.actor_id in self._actors for push in pushes):
            return self._deliver(pushes)
        return await self._ordered(pushes)

    async def foreign(self, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver pushes of another process."""
        until = self._clock.now() + MIXED
        for push in pushes:
            actor = self._actors.get(push.actor_id)
            if actor is None:
                self._actors[push.actor_id] = actor = _Actor()
                # Whatever came before was delivered as it came.
                actor.newest = push.version - 1
            actor.mixed_until = until
        return await self._ordered(pushes)

    def prune(self) -> None:
        """Forget the actors that no other process has pushed for lately."""
        now = self._clock.now()
        for actor_id in [i for i, a in self._actors.items() if a.mixed_until < now and not a.held]:
            del self._actors[actor_id]

    async def _ordered(self, pushes: Sequence[Push]) -> frozenset[str]:
        gone: set[str] = set()
        waits: list[asyncio.Future[frozenset[str]]] = []
        for push in pushes:
            actor = self._actors.get(push.actor_id)
            if actor is None or push.version <= actor.newest + 1:
                gone |= self._deliver((push,))
                if actor is not None:
                    actor.newest = max(actor.newest, push.version)
            else:
                waits.append(self._hold(actor, push))
        # Only now: the pushes of one commit come in one call, and nothing may get between them.
        for actor_id in dict.fromkeys(push.actor_id for push in pushes):
            if (actor := self._actors.get(actor_id)) is not None:
                self._advance(actor)
        for wait in waits:
            gone |= await wait
        return frozenset(gone)

    def _hold(self, actor: _Actor, push: Push) -> asyncio.Future[frozenset[str]]:
        done: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        place = (push.version, push.index, next(self._arrivals))
        heapq.heappush(actor.held, (*place, push, done))
        if actor.timer is None:
            actor.timer = self._clock.call_later(WINDOW, lambda: self._expire(actor))
        return done

    def _advance(self, actor: _Actor) -> None:
        """Let go what follows directly upon the newest version that is out."""
        while actor.held and actor.held[0][0] <= actor.newest + 1:
            self._release(actor)
        if not actor.held and actor.timer is not None:
            actor.timer.cancel()
            actor.timer = None

    def _expire(self, actor: _Actor) -> None:
        actor.timer = None
        while actor.held:
            self._release(actor)

    def _release(self, actor: _Actor) -> None:
        version, _, _, push, done = heapq.heappop(actor.held)
        actor.newest = max(actor.newest, version)
        gone = self._deliver((push,))
        if not done.done():
            done.set_result(gone)
