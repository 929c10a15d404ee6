"""How checkers learn what a handle's actor wants of a connection."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from typing_extensions import TypeVar

__all__ = ["ConnectedWith"]

ActorT_co = TypeVar("ActorT_co", covariant=True)
ParamsT_contra = TypeVar("ParamsT_contra", contravariant=True)


class ConnectedWith(Protocol[ActorT_co, ParamsT_contra]):
    """An actor and the parameters of its connections, read from ``on_before_connect``."""

    def __actor__(self) -> ActorT_co: ...

    def on_before_connect(self, params: ParamsT_contra) -> Awaitable[Any]: ...
