"""``@workflow``: makes ``run`` a durable workflow."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, overload

from typing_extensions import TypeVar

from rivetless.errors import ActorError, DefinitionError
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from rivetless.workflow.context import WorkflowContext
    from rivetless.workflow.results import WorkflowEvent

ActorT = TypeVar("ActorT")

_MARK: Final = "__rivetless_workflow__"

Body = Callable[[Any, "WorkflowContext"], Coroutine[Any, Any, None]]


@frozen
class Workflow:
    """What ``@workflow`` was given.

    Attributes:
        body: the function.
        on_error: told of failures, in a turn of its own.
    """

    body: Body
    on_error: Callable[[Any, WorkflowEvent], Awaitable[None]] | None = None


@overload
def workflow(
    function: Callable[[ActorT, WorkflowContext], Coroutine[Any, Any, None]], /
) -> Callable[[ActorT], Awaitable[None]]: ...
@overload
def workflow(
    *, on_error: Callable[[Any, WorkflowEvent], Awaitable[None]] | None = None
) -> Callable[
    [Callable[[ActorT, WorkflowContext], Coroutine[Any, Any, None]]],
    Callable[[ActorT], Awaitable[None]],
]: ...
def workflow(function: Any = None, /, *, on_error: Any = None) -> Any:
    """Make ``run`` a durable workflow: ``@workflow async def run(self, ctx)``.

    It begins at its top whenever the actor has to go on with it; what it has done before is
    answered from history, and only what is new is done. ``self.state`` is there in steps.

    Args:
        function: the ``async def`` method, where the decorator is used bare.
        on_error: an async function that gets the actor and a ``WorkflowEvent`` when an attempt at a
            step, a rollback or the workflow has failed. It runs in a turn of its own.

    Raises:
        DefinitionError: what is decorated is not ``async def run(self, ctx)``.
    """
    if function is None:

        def mark(method: Any) -> Any:
            return _mark(method, on_error)

        return mark
    return _mark(function, on_error)


def _mark(function: Any, on_error: Any) -> Any:
    name = getattr(function, "__name__", repr(function))
    if name != "run":
        raise DefinitionError(
            f"{name}: an actor has one workflow, its `run`. Write `@workflow async def run(self, "
            "ctx)`; parts of it are methods that `run` calls with `ctx`."
        )

    @functools.wraps(function)
    async def run(self: object) -> None:
        raise ActorError(
            "actor", "invalid_operation", "A workflow is begun by the runtime, never called."
        )

    del run.__wrapped__  # its signature is its own
    setattr(run, _MARK, Workflow(function, on_error))
    return run


def workflow_of(cls: type[Any]) -> Workflow | None:
    """Return the workflow of an actor class, if its ``run`` is one."""
    found: Workflow | None = getattr(getattr(cls, "run", None), _MARK, None)
    return found
