"""Work in the background: what a handler hands to ``wait_until`` and ``keep_awake``."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from rivetless import errors
from rivetless.runtime.commands import ById
from rivetless.runtime.job import Job

if TYPE_CHECKING:
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

T = TypeVar("T")


async def run_later(
    runtime: Runtime, cell: Cell, turn: ActorTurn, work: Coroutine[Any, Any, object]
) -> None:
    """Run ``wait_until`` work as a turn of its own, on the instance it was begun on."""
    begun = False

    async def body(again: ActorTurn) -> None:
        nonlocal begun
        if begun:
            raise errors.make("actor.interrupted")
        begun = True
        if (conn := turn.job.conn) is not None and conn.host is not None:
            await runtime.connections.prepare(again, conn)
        again.adopt(turn)
        await work

    job = Job(
        cell.definition,
        body,
        label="wait_until",
        deadline=runtime.clock.now() + cell.definition.options.action_timeout,
        conn=turn.job.conn,
        request=turn.job.request,
        hops=turn.job.hops,
    )
    try:
        await runtime.execution.run(ById(None, turn.actor_id), job)
    except Exception:
        runtime.log.warning("wait_until work of %s failed", cell.address, exc_info=True)
    finally:
        work.close()


def keep_awake(runtime: Runtime, cell: Cell, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
    """Run work in the background; the tenure lasts at least as long."""

    async def tracked() -> T:
        try:
            return await work
        finally:
            cell.running -= 1
            runtime.cells.used(cell)

    cell.running += 1
    return runtime.spawn(tracked())
