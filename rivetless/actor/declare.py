"""What the body of an actor class declares: events, actions, groups of actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import Self, TypeVar

if TYPE_CHECKING:
    from rivetless.actor.base import Actor

PayloadT = TypeVar("PayloadT", default=Any)
ActionT = TypeVar("ActionT", bound=Callable[..., Coroutine[Any, Any, Any]])
OwnerT = TypeVar("OwnerT", bound="Actor[Any, Any, Any]", default=Any)


class Event(Generic[PayloadT]):
    """An event that connections subscribe to: ``new_message = Event[Message]()``.

    A tuple payload travels as several arguments, ``None`` as none, any other as one.

    Attributes:
        name: on the wire (camelCase of the attribute's name unless ``name=`` is given).
        python_name: the attribute's name.
        can_subscribe: says whether the connection ``self.conn`` may listen; ``None`` lets all.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        can_subscribe: Callable[[Any], Awaitable[bool]] | None = None,
    ) -> None:
        self.name = name or ""
        self.python_name = ""
        self.can_subscribe = can_subscribe

    def encode(self, payload: PayloadT) -> list[object]:
        """Check a payload and make the plain arguments of the wire.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        raise NotImplementedError

    def decode(self, args: Sequence[object]) -> PayloadT:
        """Make the payload of plain arguments; the reverse of ``encode``."""
        raise NotImplementedError

    async def allows(self, actor: Actor[Any, Any, Any]) -> bool:
        """Ask ``can_subscribe`` for ``actor.conn``.

        Raises:
            TypeError: it did not answer a bool.
        """
        raise NotImplementedError


@overload
def action(function: ActionT, /) -> ActionT: ...
@overload
def action(
    *, name: str | None = None, exclusive: bool = False, timeout: float | timedelta | None = None
) -> Callable[[ActionT], ActionT]: ...
def action(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    exclusive: bool = False,
    timeout: float | timedelta | None = None,
) -> Any:
    """Make a method callable by clients and other actors.

    Args:
        function: the ``async def`` method, where the decorator is used bare.
        name: its name on the wire; camelCase of the method's name by default.
        exclusive: take the actor's lease first, for handlers whose outside effects must not repeat.
        timeout: overrides the actor's ``action_timeout``.
    """
    raise NotImplementedError


class ActionGroup(Generic[OwnerT]):
    """A nested group of actions: ``users = Users()`` in an actor puts ``users.add`` on the wire.

    Attributes:
        actor: the actor of this turn.
    """

    actor: OwnerT

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self:
        raise NotImplementedError
