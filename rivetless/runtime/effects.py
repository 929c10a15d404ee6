"""What leaves a turn once its changes are durable: pushes to sockets, in order.

An effect is recorded by a turn, waits with its step, and is let out here. The effects of one actor
go out one step after the other, so a connection sees them in the order of the commits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from rivetless.actor.turn import ConnInfo
from rivetless.frozen import frozen
from rivetless.runtime.ports import ClosePush, EventPush, Push, Pusher, RawPush
from rivetless.runtime.records import subscribers_of
from rivetless.store.base import Store, StoreError

if TYPE_CHECKING:
    import logging

    from rivetless.runtime.cell import Cell


@frozen
class Broadcast:
    """An event for every connection that subscribed to it, and for ``echo`` in any case."""

    content: EventPush
    echo: ConnInfo | None = None


@frozen
class Send:
    """Something for one connection, whose socket is at ``host``."""

    conn_id: str
    host: str
    content: EventPush | RawPush | ClosePush


Effect = Broadcast | Send

_Pending = tuple[str, int, int, Sequence[Effect], bool, "asyncio.Future[None]"]


class Effects:
    """Lets effects out.

    Args:
        store: where subscriptions are read.
        pusher: how sockets are reached.
        lost: told of connections whose host does not know them.
        begin: starts a background task.
        log: where failures are told.
    """

    def __init__(
        self,
        store: Store,
        pusher: Pusher,
        lost: Callable[[str, str], None],
        begin: Callable[[Coroutine[Any, Any, object]], None],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._pusher = pusher
        self._lost = lost
        self._begin = begin
        self._log = log
        self._pending: dict[Cell, deque[_Pending]] = {}

    def let_out(
        self,
        cell: Cell,
        actor_id: str,
        version: int,
        index: int,
        effects: Sequence[Effect],
        heard: bool,
    ) -> asyncio.Future[None]:
        """Queue a step's effects; the future is done when they are out (or given up).

        Args:
            cell: the actor; its effects go out one step after the other.
            actor_id: the life.
            version: the version of the commit that releases them.
            index: how many effects of that commit come before them.
            effects: what to let out.
            heard: whether somebody may have subscribed to an event by that version.
        """
        out: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._pending.get(cell)
        if queue is None:
            queue = self._pending[cell] = deque[_Pending]()
            self._begin(self._drain(cell, queue))
        queue.append((actor_id, version, index, effects, heard, out))
        return out

    async def _drain(self, cell: Cell, queue: deque[_Pending]) -> None:
        while queue:
            actor_id, version, first, effects, heard, out = queue[0]
            try:
                await self._deliver(actor_id, version, first, effects, heard)
            except Exception:
                # Events are sent at most once: what fails here is lost, as with a broken socket.
                self._log.exception("effects of actor %s were not delivered", actor_id)
            finally:
                queue.popleft()
                if not out.done():
                    out.set_result(None)
        del self._pending[cell]

    async def _deliver(
        self, actor_id: str, version: int, first: int, effects: Sequence[Effect], heard: bool
    ) -> None:
        by_host: dict[str, list[Push]] = {}
        for index, effect in enumerate(effects, first):
            if isinstance(effect, Send):
                targets = {effect.host: [effect.conn_id]}
            else:
                name = effect.content.name
                targets = await self._subscribers(actor_id, name) if heard else {}
                _add(targets, effect.echo)
            for host, conns in targets.items():
                by_host.setdefault(host, []).append(
                    Push(actor_id, version, index, effect.content, tuple(conns))
                )
        for host, pushes in by_host.items():
            for conn_id in sorted(await self._pusher.push(host, pushes)):
                self._lost(actor_id, conn_id)

    async def _subscribers(self, actor_id: str, event: str) -> dict[str, list[str]]:
        try:
            return await subscribers_of(self._store, actor_id, event)
        except StoreError:
            self._log.warning("subscribers of %s could not be read", actor_id, exc_info=True)
            return {}


def _add(targets: dict[str, list[str]], conn: ConnInfo | None) -> None:
    if conn is not None and conn.host is not None:
        conns = targets.setdefault(conn.host, [])
        if conn.id not in conns:
            conns.append(conn.id)
