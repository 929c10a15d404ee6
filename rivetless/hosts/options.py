"""What ``registry.handler(...)`` and ``registry.serve(...)`` take, for type checkers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.gateway.limits import Limits
    from rivetless.store.base import Store
    from rivetless.store.urls import Synchronous

__all__ = ["HandlerOptions", "ServeOptions"]


class HandlerOptions(TypedDict, total=False):
    """The options of ``rivetless.hosts.asgi.ASGIApp``, which explains them."""

    store: Store | str | None
    synchronous: Synchronous
    limits: Limits | None
    origins: Iterable[str] | None
    admin_token: str | None
    secret: str | bytes | None
    peer_host: str
    peer_port: int
    peer_url: str | None
    region: str
    expose_errors: bool | None
    clock: Clock | None


class ServeOptions(HandlerOptions, total=False):
    """The options of ``rivetless.hosts.local.serve``, which explains them."""

    host: str
    port: int
    https: bool
    fd: int | None
    quiet: bool
