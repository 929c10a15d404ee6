"""The other processes on the same store: who they are, and pushes to and from them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from rivetless.clock import Clock, Timeout, sleep
from rivetless.errors import ActorError
from rivetless.gateway.outbox import Tasks
from rivetless.hosts.announcement import HEARTBEAT, Announcement
from rivetless.hosts.envelopes import read_gone, write_pushes
from rivetless.hosts.links import LinkError, Links
from rivetless.hosts.ordering import Sequencer
from rivetless.hosts.passes import Passes
from rivetless.hosts.places import is_loopback
from rivetless.runtime.ports import Push
from rivetless.store.base import Host, Store, StoreError

__all__ = ["Peers"]

_PATIENCE: Final = 1.0
_JOINING: Final = 6
_MAX_WAITING: Final = 10_000
_MAX_BATCH: Final = 256
_MAX_PAUSE: Final = 30.0

_log = logging.getLogger("rivetless.hosts")

_Waiting = tuple[Sequence[Push], "asyncio.Future[frozenset[str]]"]


class Peers:
    """Reaches sockets wherever they are. Implements ``runtime.ports.Pusher``.

    Args:
        store: where hosts announce themselves.
        sequencer: delivers to the sockets of this process.
        host_id: of this process, as long as it does not have to take another.
        clock: all time comes from it.
        links: carries requests.
        lapsed: told that the process has another id: heartbeats came too late, so that others may
            have taken it for dead and closed its connections. All sockets have to be closed.

    Attributes:
        own: how this process is written down.
        place: what loopback addresses mean here (``places``); empty if that is not known.
    """

    def __init__(
        self,
        store: Store,
        sequencer: Sequencer,
        *,
        host_id: str,
        clock: Clock,
        links: Links,
        lapsed: Callable[[], None] | None = None,
    ) -> None:
        self.own = Announcement(store, host_id, clock, self._become_another)
        self.place = ""
        self._lapsed = lapsed
        self._store = store
        self._sequencer = sequencer
        self._clock = clock
        self._passes: Passes | None = None
        self._links = links
        self._tasks = Tasks()
        self._hosts: dict[str, Host] = {}
        self._read_at = float("-inf")
        self._lanes: dict[str, _Lane] = {}

    @property
    def host_id(self) -> str:
        """The present id of this process."""
        return self.own.id

    def trust(self, passes: Passes) -> None:
        """Talk to the others from now on, who know the same secret."""
        self._passes = passes

    # -- pushing ----------------------------------------------------------------------------------

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver pushes to sockets held by a host.

        An answer that takes long is not waited for, so that one slow host holds no actor up.
        """
        if self.own.owns(host):
            return await self._sequencer.local(pushes)
        if self._passes is None:
            return frozenset()
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = _Lane(lambda: self._tasks.spawn(self._drain(host)))
        done = lane.put(pushes)
        if done is None:
            _log.warning("host %s does not keep up; pushes to it are dropped", host)
            return frozenset()
        try:
            async with Timeout(self._clock, _PATIENCE):
                return await asyncio.shield(done)
        except TimeoutError:
            return frozenset()

    async def _drain(self, host_id: str) -> None:
        lane = self._lanes[host_id]
        while lane.waiting:
            batch = lane.take()
            gone: frozenset[str] = frozenset()
            if self._clock.now() >= lane.paused_until:
                try:
                    gone = await self._send(host_id, [p for pushes, _ in batch for p in pushes])
                    lane.pause = 0.0
                except (LinkError, StoreError, ActorError) as error:
                    # Sent at most once, like everything on sockets: what fails here is lost.
                    lane.pause = min(max(2 * lane.pause, 0.5), _MAX_PAUSE)
                    lane.paused_until = self._clock.now() + lane.pause
                    _log.warning("pushes to host %s were lost: %s", host_id, error)
                except Exception:
                    _log.exception("pushes to host %s were lost", host_id)
            for pushes, done in batch:
                if not done.done():
                    ids = {conn for push in pushes for conn in push.conns}
                    done.set_result(gone & ids)
        lane.idle = True

    async def _send(self, host_id: str, pushes: list[Push]) -> frozenset[str]:
        content_type, body = write_pushes(pushes)
        return read_gone(
            content_type, await self.post(host_id, "/@connections", content_type, body)
        )

    # -- speaking to the others -------------------------------------------------------------------

    async def post(self, host_id: str, path: str, content_type: str, body: bytes) -> bytes:
        """Make a signed request to another host and return the answer's body.

        Raises:
            LinkError: it is not there, or does not take it.
            StoreError: nobody knows where it is.
        """
        host = self._hosts.get(host_id) or await self._look_up(host_id)
        if host is None or host.over:
            raise LinkError("it is not there any more")
        if not host.url:
            raise LinkError("it has no listener")
        # One who knows no secret finds out at least whether anybody listens.
        headers = [] if self._passes is None else self._passes.sign(host_id, "POST", path, body)
        headers.append(("content-type", content_type))
        status, answer = await self._links.request(host.url, "POST", path, headers, body)
        if status not in (200, 204):
            # Another process may have the port by now; it is not the host we mean.
            raise LinkError(f"it answered with status {status}")
        return answer

    @property
    def others(self) -> list[str]:
        """Ids of the other hosts that can be spoken to, as far as this one has heard of them."""
        now, owns = self._clock.now(), self.own.owns
        alive = (h for h in self._hosts.values() if h.expires_at > now and not owns(h.id))
        return [host.id for host in alive if host.url and not host.over]

    def is_near(self, host_id: str) -> bool:
        """Whether a host's address leads there from here too: it is a loopback address, and one
        of this process's own network.
        """
        host = self._hosts.get(host_id)
        return host is not None and self.place != "" and urlsplit(host.url).fragment == self.place

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin something that is waited for at the end; it handles its own failures."""
        self._tasks.spawn(work)

    async def _look_up(self, host_id: str) -> Host | None:
        # One that is not known has just begun, or has ended: not to be asked for at every push.
        if self._clock.now() - self._read_at >= 0.5:
            await self.read_hosts()
        return self._hosts.get(host_id)

    async def read_hosts(self) -> None:
        """Find out who is there.

        Raises:
            StoreError: nobody can tell.
        """
        hosts = await self._store.hosts()
        self._read_at = self._clock.now()
        self._hosts = {host.id: host for host in hosts}

    # -- being there ------------------------------------------------------------------------------

    async def announce(self, url: str) -> None:
        """Make this process known to the others, under the URL of its listener, if it has one."""
        if self.place and is_loopback(url):
            url = f"{url}#{self.place}"
        await self.own.begin(url)

    async def join(self, url: str) -> None:
        """Announce for the first time; again while the store cannot take it, for some seconds.

        What is not announced by then is so by a heartbeat, or for a socket that has to be taken in.
        """
        for attempt in range(_JOINING):
            try:
                return await self.announce(url)
            except (StoreError, TimeoutError):
                _log.warning("this host could not be announced yet", exc_info=True)
                await sleep(self._clock, 0.1 * 2.0**attempt)

    def _become_another(self) -> None:
        if self._passes is not None:
            self._passes.host_id = self.host_id
        if self._lapsed is not None:
            self._lapsed()

    async def beat(self) -> None:
        """Give heartbeats until cancelled."""
        while True:
            await sleep(self._clock, HEARTBEAT)
            try:
                await self.own.renew()
                self._sequencer.prune()
                await self.read_hosts()
                for host_id in [h for h, lane in self._lanes.items() if lane.idle]:
                    if host_id not in self._hosts:
                        del self._lanes[host_id]
            except Exception:
                # The next one may work; one may fail before others could take us for dead.
                _log.warning("a heartbeat failed", exc_info=True)

    async def aclose(self) -> None:
        """Let pushes that are under way end."""
        await self._tasks.finish()
        await self._links.aclose()


class _Lane:
    """Pushes to one host: in order, several in a request while the one before is under way."""

    __slots__ = ("_begin", "idle", "pause", "paused_until", "waiting")

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.waiting: deque[_Waiting] = deque()
        self.idle = True
        self.pause = 0.0
        self.paused_until = float("-inf")

    def put(self, pushes: Sequence[Push]) -> asyncio.Future[frozenset[str]] | None:
        """Queue pushes; None if too many wait already."""
        if len(self.waiting) >= _MAX_WAITING:
            return None
        done: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self.waiting.append((pushes, done))
        if self.idle:
            self.idle = False
            self._begin()
        return done

    def take(self) -> list[_Waiting]:
        """Take what goes into one request."""
        batch: list[_Waiting] = []
        while self.waiting and len(batch) < _MAX_BATCH:
            batch.append(self.waiting.popleft())
        return batch
