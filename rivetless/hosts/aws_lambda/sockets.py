"""Routing heads: which actor a connection of API Gateway leads to, in the store.

A frame that arrives names its connection and nothing else. So each connection has a head of its
own, in a namespace that nobody can name from outside, whose state says where the connection leads.
Its alarm puts it among what the sweeper finds due: that is how sockets are noticed whose
``$disconnect`` was never told, and how idle ones are kept alive.
"""

from __future__ import annotations

import enum
import itertools
import json
import logging
import random
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from rivetless.aws.client import CallError
from rivetless.clock import Clock
from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.frames import Wire
from rivetless.keys import Address, actor_id
from rivetless.protocol.codec import JSON
from rivetless.protocol.messages import Event
from rivetless.runtime.commands import ABNORMAL, CloseConnection
from rivetless.runtime.ports import Doorbells, Ring, WakeError
from rivetless.store.base import Changes, Conflict, Creation, Gone, Head, Store, StoreError

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.pushes import Posts

__all__ = ["HOST", "NAMESPACE", "Phase", "Route", "Routes", "SocketKeeper"]

_log = logging.getLogger("rivetless.hosts")

HOST: Final = "apigw"
"""The host that records name for sockets held by API Gateway. It is no process (``records``)."""

NAMESPACE: Final = "$sockets"

LIFETIME: Final = 2 * 3600.0 + 300.0
"""Seconds after which a connection is gone for sure: API Gateway ends it after two hours."""

SHORT: Final = 600.0
"""Seconds after which a connection that never got through, or was refused, is looked at."""

KEEP_ALIVE: Final = 540.0
"""Seconds between two events that keep a connection alive; API Gateway ends idle ones after 600."""

KEEP_ALIVE_EVENT: Final = "rivetless:keep-alive"
"""An event that no actor declares and no client listens to."""

_LIFE: Final = 1
"""API Gateway never gives an id twice, so each of these addresses has one life."""

_NAMES: Final = 16
_MOST_KNOWN: Final = 10_000


class Phase(enum.StrEnum):
    """How far a connection has come.

    ``OPENING``: its connect is being worked on. ``OPEN``: it got through, and leads to an actor.
    ``CLOSED``: it was refused, or gone before its connect was worked; nothing more may come of it.
    """

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


@frozen
class Route:
    """What a routing head says.

    Attributes:
        conn_id: the connection.
        phase: how far it has come.
        opened_at: Unix seconds of its ``$connect``.
        version: of the head.
        actor_id: the life that it leads to; empty before it is open.
        raw: whether it is a raw WebSocket.
        address: of the actor that it is to lead to, while it is being opened.
    """

    conn_id: str
    phase: Phase
    opened_at: float
    version: int
    actor_id: str = ""
    raw: bool = False
    address: Address | None = None


class Routes:
    """The routing heads of a store.

    Args:
        store: where they are.
        clock: tells the time.
        rng: makes the ids of commits.
    """

    def __init__(self, store: Store, clock: Clock, rng: random.Random | None = None) -> None:
        self._store = store
        self._clock = clock
        self._prefix = f"{(rng or random.SystemRandom()).getrandbits(64):016x}."
        self._commits = itertools.count(1)
        # One that is open says the same until it is closed, so not every frame has to read it.
        self._open: OrderedDict[str, Route] = OrderedDict()

    async def known(self, conn_id: str) -> Route | None:
        """Return a connection's route; an open one as this process remembers it."""
        return self._open.get(conn_id) or await self.find(conn_id)

    async def find(self, conn_id: str) -> Route | None:
        """Read a connection's route."""
        head = await self._store.load(_address(conn_id))
        return None if head is None else self._remember(read_route(head))

    async def begin(
        self, conn_id: str, opened_at: float, where: Address | str | None = None
    ) -> Route:
        """Write down that a connection is being opened; return what there is, if it was before.

        Args:
            conn_id: the connection.
            opened_at: Unix seconds of its ``$connect``.
            where: the actor or the life that it is to lead to; whoever opens it may die before the
                route says more.
        """
        if isinstance(where, Address):
            return await self._create(Route(conn_id, Phase.OPENING, opened_at, 0, address=where))
        return await self._create(Route(conn_id, Phase.OPENING, opened_at, 0, where or ""))

    async def life_of(self, route: Route) -> str | None:
        """Return the life that a connection leads to, or was to lead to; None for none."""
        if route.actor_id or route.address is None:
            return route.actor_id or None
        head = await self._store.load(route.address)
        return None if head is None else head.actor_id

    async def establish(self, route: Route, actor_id: str, *, raw: bool, alarm: float) -> Route:
        """Write down where a connection leads.

        Raises:
            Conflict: it was closed meanwhile.
            Gone: the same.
        """
        opened = replace(route, phase=Phase.OPEN, actor_id=actor_id, raw=raw, address=None)
        return self._remember(await self._update(opened, alarm))

    async def close(self, conn_id: str) -> None:
        """Write down that nothing may come of a connection, whether its connect was worked or not.

        The mark is swept after a while.
        """
        now = self._clock.now()
        route: Route | None = await self._create(Route(conn_id, Phase.CLOSED, now, 0))
        while route is not None and route.phase is not Phase.CLOSED:
            try:
                closed = replace(route, phase=Phase.CLOSED)
                await self._update(closed, now + SHORT)
            except (Conflict, Gone):
                route = await self.find(conn_id)
            else:
                break
        self._open.pop(conn_id, None)

    async def postpone(self, route: Route, alarm: float) -> None:
        """Have a connection looked at again later, unless somebody was faster."""
        try:
            await self._update(route, alarm)
        except (Conflict, Gone):
            _log.debug("the route of %s changed meanwhile", route.conn_id)

    async def remove(self, route: Route) -> None:
        """Forget a connection."""
        self._open.pop(route.conn_id, None)
        life = _life(route.conn_id)
        current: Route | None = route
        while current is not None:
            changes = Changes(self._commit_id(), destroyed_at=self._clock.now())
            try:
                await self._store.commit(life, changes, expected=current.version)
            except Conflict:
                current = await self.find(route.conn_id)
                continue
            except Gone:
                pass  # somebody was faster, or died between this and the next line
            break
        await self._store.drain(life)
        self._open.pop(route.conn_id, None)

    async def _create(self, route: Route) -> Route:
        address, life = _address(route.conn_id), _life(route.conn_id)
        now = self._clock.now()
        changes = Changes(
            self._commit_id(),
            create=Creation(address, now),
            state=_write_state(route),
            alarm=now + SHORT,
        )
        try:
            version = await self._store.commit(life, changes, expected=0)
        except Gone:
            return replace(route, phase=Phase.CLOSED)  # it was removed a while ago
        except Conflict as conflict:
            head = conflict.current or await self._store.load(address)
            if head is None:
                return replace(route, phase=Phase.CLOSED)  # it came and went meanwhile
            return self._remember(read_route(head))
        return replace(route, version=version)

    async def _update(self, route: Route, alarm: float) -> Route:
        changes = Changes(self._commit_id(), state=_write_state(route), alarm=alarm)
        life = _life(route.conn_id)
        version = await self._store.commit(life, changes, expected=route.version)
        return replace(route, version=version)

    def _remember(self, route: Route) -> Route:
        if route.phase is Phase.OPEN:
            self._open[route.conn_id] = route
            if len(self._open) > _MOST_KNOWN:
                self._open.popitem(last=False)
        else:
            self._open.pop(route.conn_id, None)
        return route

    def _commit_id(self) -> str:
        return f"{self._prefix}{next(self._commits):x}"


class SocketKeeper:
    """Looks after connections whose alarm is due. Implements ``runtime.ports.Keeper``.

    Args:
        routes: where they are written down.
        posts: reaches them.
        dispatcher: closes those that are gone.
        doorbells: wake it for the next event that keeps a connection alive.
        clock: tells the time.
        keep_alive: whether idle connections are kept alive.
    """

    def __init__(
        self,
        routes: Routes,
        posts: Posts,
        dispatcher: Dispatcher,
        doorbells: Doorbells,
        clock: Clock,
        *,
        keep_alive: bool = False,
    ) -> None:
        self._routes = routes
        self._posts = posts
        self._dispatcher = dispatcher
        self._doorbells = doorbells
        self._clock = clock
        self._keep_alive = keep_alive
        event = Wire(JSON).frame(Event(KEEP_ALIVE_EVENT, []))
        self._event = event.encode() if isinstance(event, str) else event

    def next_alarm(self, opened_at: float, *, raw: bool) -> float:
        """Return when a connection that is there must be looked at again."""
        now = self._clock.now()
        # What is still there after its time (clocks differ) is looked at again soon.
        end = max(opened_at + LIFETIME, now + SHORT)
        if self._keep_alive and not raw:
            return min(now + KEEP_ALIVE, end)
        return end

    async def watch(self, route: Route, alarm: float) -> None:
        """Have a connection's next event sent in time; the sweeper would be late."""
        if not (self._keep_alive and not route.raw):
            return
        try:
            await self._doorbells.ring([Ring(_life(route.conn_id), at=alarm)])
        except WakeError:
            _log.warning("connection %s may be ended for being idle", route.conn_id)

    async def end(self, route: Route, code: int = ABNORMAL, *, last: bool = False) -> None:
        """Close a connection that is gone, and see to it that nothing more comes of it.

        Where its route does not say that it is open, somebody may have opened it and died before
        the route could say so, or be about to. It is closed all the same; and once more by a sweep,
        when nothing can be on its way any more. Until then the route says that it is closed.

        Args:
            route: where it leads, or was to lead.
            code: the close code.
            last: whether a route that says so already is not needed any more.

        Raises:
            ActorError: it may not be closed.
            StoreError: the same.
        """
        if route.phase is Phase.OPENING:
            await self._routes.close(route.conn_id)
        life = await self._routes.life_of(route)
        if life is not None:
            await self._dispatcher.dispatch(CloseConnection(life, route.conn_id, code))
        if route.phase is Phase.OPEN or (last and route.phase is Phase.CLOSED):
            await self._routes.remove(route)

    async def tend(self, head: Head) -> None:
        """Find out whether a connection is still there, and close it if not."""
        if head.alarm is None or head.alarm > self._clock.now():
            return
        route = read_route(head)
        try:
            if route.phase is Phase.OPEN and await self._is_there(route):
                alarm = self.next_alarm(route.opened_at, raw=route.raw)
                await self._routes.postpone(route, alarm)
                await self.watch(route, alarm)
                return
            if route.phase is Phase.OPENING:
                # Its connect has failed often enough for the dead-letter queue.
                _log.warning("connection %s never got through; it is closed", route.conn_id)
                await self._posts.close(route.conn_id)
            await self.end(route, last=True)
        except (CallError, ActorError, StoreError) as error:
            # It stays due, so the next sweep finds it again.
            _log.warning("connection %s could not be looked after: %s", route.conn_id, error)

    async def _is_there(self, route: Route) -> bool:
        if self._keep_alive and not route.raw:
            return await self._posts.send(route.conn_id, self._event)
        return await self._posts.exists(route.conn_id)


def read_route(head: Head) -> Route:
    """Return what a routing head says."""
    conn_id = head.address.key[0]
    if head.state is None:
        return Route(conn_id, Phase.CLOSED, head.created_at, head.version)
    state: dict[str, Any] = json.loads(head.state)
    address: list[Any] | None = state.get("address")
    return Route(
        conn_id,
        Phase(state["phase"]),
        state["opened_at"],
        head.version,
        state.get("actor", ""),
        state.get("raw", False),
        None if address is None else Address(address[0], address[1], tuple(address[2])),
    )


def _write_state(route: Route) -> bytes:
    state: dict[str, object] = {"phase": route.phase.value, "opened_at": route.opened_at}
    if route.actor_id:
        state["actor"] = route.actor_id
    if route.phase is Phase.OPEN:
        state["raw"] = route.raw
    if route.address is not None:
        state["address"] = [route.address.namespace, route.address.name, list(route.address.key)]
    return json.dumps(state, separators=(",", ":")).encode()


def _address(conn_id: str) -> Address:
    # Several names, since a store may keep all actors of a name in one place.
    return Address(NAMESPACE, f"socket{crc32(conn_id.encode()) % _NAMES:x}", (conn_id,))


def _life(conn_id: str) -> str:
    return actor_id(_address(conn_id), _LIFE)
