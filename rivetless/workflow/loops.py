"""Loops: iterations with contexts of their own, whose history is forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rivetless.serde import Schema, schema_of
from rivetless.workflow import values
from rivetless.workflow.engine import Part, unwrapped
from rivetless.workflow.results import Break, Continue, as_break, as_continue

if TYPE_CHECKING:
    from rivetless.workflow.context import WorkflowContext
    from rivetless.workflow.journal import Entry

STATELESS: Final = object()
"""Stands for the state of a loop that has none."""


async def run(
    ctx: WorkflowContext,
    name: str,
    fn: Callable[..., Awaitable[Any]],
    state: Any,
    interval: int,
    size: int,
) -> Any:
    """Run a loop, from the iteration that history has come to."""
    engine = ctx.engine
    location = ctx.place(name)
    result = values.schema_of_argument(fn, Break)
    entry = engine.journal.get(location)
    if entry is not None and entry.status == "completed":
        ctx.passed(entry)
        return values.decode(result, entry.value)
    stateful = state is not STATELESS
    states = _schema_of_states(fn, state) if stateful else schema_of(Any)
    if entry is None:
        engine.go_on()
        given = state if stateful else None
        first = values.stored(values.encode(states, given, f"The state of `{name}`"))
        value = {"iteration": 0, "state": first}
        entry = engine.new_entry(location, "loop", "running", value=value)
        engine.journal.mark(entry)
    while True:
        iteration: int = entry.value["iteration"]
        child = ctx.child(f"{_last(location)}/~{iteration}")
        args = (values.decode(states, entry.value["state"]),) if stateful else ()
        outcome: object = await unwrapped(Part(engine, fn(child, *args)))
        child.close()
        ctx.catch_up(child)
        if (ended := as_break(outcome)) is not None:
            plain = values.encode(result, ended.value, f"The result of `{name}`")
            now, value = engine.port.now(), values.stored(plain)
            entry = replace(entry, status="completed", completed_at=now, value=value)
            _forget(ctx, location, iteration - size + 1)
            engine.journal.mark(entry)
            ctx.passed(entry)
            return values.decode(result, entry.value)
        entry = _next(name, entry, states, outcome, stateful)
        engine.journal.mark(entry)
        if (iteration + 1) % interval == 0:
            _forget(ctx, location, iteration + 1 - size)
            engine.go_on()
            await engine.write_dirty()


def _last(location: str) -> str:
    return location.rpartition("/")[2]


def _next(name: str, entry: Entry, states: Schema[Any], outcome: Any, stateful: bool) -> Entry:
    """Return the loop's entry for the iteration that follows."""
    number = entry.value["iteration"] + 1
    going_on = as_continue(outcome)
    if not stateful:
        if outcome is not None and going_on is None:
            raise TypeError(
                f"An iteration of `{name}` returned {outcome!r}: return `Break(value)` to end the "
                "loop, or nothing to go on."
            )
        return replace(entry, value={"iteration": number, "state": None})
    if going_on is None:
        raise TypeError(
            f"An iteration of `{name}` returned {outcome!r}: a loop with a state returns "
            "`Continue(state)` or `Break(value)`."
        )
    plain = values.encode(states, going_on.state, f"The state of `{name}`")
    return replace(entry, value={"iteration": number, "state": values.stored(plain)})


def _forget(ctx: WorkflowContext, location: str, before: int) -> None:
    """Forget the iterations before one."""
    journal = ctx.engine.journal
    for child in list(journal.children(location)):
        number = int(child.rpartition("/~")[2])
        if number < before:
            journal.discard(journal.within(child))


def _schema_of_states(fn: Callable[..., Any], state: object) -> Schema[Any]:
    schema = values.schema_of_argument(fn, Continue)
    if schema.annotation is Any and state is not None:
        return schema_of(type(state))
    return schema
