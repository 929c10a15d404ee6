"""``Gossip``: hints for the other processes on the store, over their private listeners."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from rivetless.clock import Clock
from rivetless.errors import ActorError
from rivetless.hosts.envelopes import JSON_TYPE, write_hints
from rivetless.hosts.links import LinkError, RefusedError
from rivetless.hosts.listener import HINTS_PATH
from rivetless.hosts.peers import Peers
from rivetless.runtime.ports import Hint, Neighbours, Topic
from rivetless.store.base import StoreError

__all__ = ["Gossip"]

_MAX_BATCH: Final = 500
_MAX_WAITING: Final = 10_000
_FIRST_PAUSE: Final = 0.5
_MAX_PAUSE: Final = 30.0
_FAILURES: Final = (LinkError, StoreError, ActorError)

_log = logging.getLogger("rivetless.hosts")


class Gossip(Neighbours):
    """Tells the other hosts what is new. At most once, best effort.

    Args:
        peers: the other hosts.
        clock: all time comes from it.
    """

    def __init__(self, peers: Peers, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._met: set[str] = set()
        self._asking = False

    @property
    def name(self) -> str:
        """This host's id. Others who hear of it before it is announced take it for alive."""
        return self._peers.host_id

    async def greet(self) -> None:
        """Make this host known to those that are there already, so that they give it hints.

        Raises:
            StoreError: nobody can tell who is there.
        """
        await self._peers.read_hosts()
        for host_id in self._peers.others:
            self._peers.spawn(self.lives(host_id))

    def heard(self, sender: str) -> None:
        """A host has spoken; if it is new, find out where it is."""
        if sender not in self._peers.others and not self._asking:
            self._asking = True
            self._peers.spawn(self._ask_around())

    async def _ask_around(self) -> None:
        try:
            await self._peers.read_hosts()
        except StoreError:
            _log.warning("the other hosts could not be looked up", exc_info=True)
        finally:
            self._asking = False

    async def lives(self, name: str) -> bool:
        """Whether a host may still be there.

        Nobody listening at its address says that it is dead only if that leads to it from here: it
        could be reached there before, or the address is one of this very machine. From another a
        loopback address leads elsewhere.
        """
        try:
            await self._send(name, ())
        except RefusedError:
            return not (name in self._met or self._peers.is_near(name))
        except _FAILURES:
            return True
        return True

    def tell(self, hints: Sequence[Hint]) -> None:
        """Send hints to all other hosts."""
        if not self._peers.own.reachable:
            return
        others = self._peers.others
        for host_id in others:
            lane = self._lanes.get(host_id)
            if lane is None:
                lane = self._lanes[host_id] = _Lane()
            lane.put(hints)
            if lane.idle:
                lane.idle = False
                self._peers.spawn(self._drain(host_id, lane))
        for host_id in [name for name in self._lanes if name not in others]:
            del self._lanes[host_id]
            self._met.discard(host_id)

    async def _drain(self, host_id: str, lane: _Lane) -> None:
        try:
            while lane.waiting:
                hints = lane.take()
                if self._clock.now() < lane.paused_until:
                    continue
                try:
                    await self._send(host_id, hints)
                    lane.pause = 0.0
                except _FAILURES as error:
                    lane.pause = min(max(2 * lane.pause, _FIRST_PAUSE), _MAX_PAUSE)
                    lane.paused_until = self._clock.now() + lane.pause
                    _log.debug("hints for host %s were lost: %s", host_id, error)
                except Exception:
                    _log.exception("hints for host %s were lost", host_id)
        finally:
            lane.idle = True

    async def _send(self, host_id: str, hints: Sequence[Hint]) -> None:
        body = write_hints(self._peers.host_id, hints)
        await self._peers.post(host_id, HINTS_PATH, JSON_TYPE, body)
        self._met.add(host_id)


class _Lane:
    """Hints for one host: each once, several in a request while the one before is under way."""

    __slots__ = ("idle", "pause", "paused_until", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[tuple[Topic, str, str], Hint] = {}
        self.idle = True
        self.pause = 0.0
        self.paused_until = float("-inf")

    def put(self, hints: Sequence[Hint]) -> None:
        """Add hints; of alarms of one actor the earliest counts."""
        for hint in hints:
            name = hint.topic, hint.actor_id, hint.waiter
            old = self.waiting.get(name)
            if old is None:
                if len(self.waiting) < _MAX_WAITING:
                    self.waiting[name] = hint
            elif hint.at is not None and old.at is not None and hint.at < old.at:
                self.waiting[name] = hint

    def take(self) -> list[Hint]:
        """Take what goes into one request."""
        names = list(self.waiting)[:_MAX_BATCH]
        return [self.waiting.pop(name) for name in names]
