"""How checkers learn an actor's input from the hooks its class defines."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from typing_extensions import TypeVar

ActorT_co = TypeVar("ActorT_co", covariant=True)
InputT_contra = TypeVar("InputT_contra", contravariant=True)


class CreatedWith(Protocol[ActorT_co, InputT_contra]):
    """An actor whose ``create_state`` takes an input; ``type[CreatedWith[A, In]]`` reads both."""

    def __actor__(self) -> ActorT_co: ...

    def create_state(self, input: InputT_contra) -> Awaitable[Any]: ...
