"""Calls from the process that serves the actors: ``ASGIApp.client()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivetless.client.calls import SocketRequest
from rivetless.errors import ActorError
from rivetless.runtime.commands import CallAction, GetActor, RawRequest
from rivetless.runtime.local import LocalDispatcher

if TYPE_CHECKING:
    from rivetless.client.sockets import Socket
    from rivetless.hosts.asgi import ASGIApp

__all__ = ["InsideDispatcher"]


class InsideDispatcher(LocalDispatcher):
    """Gives a client's calls to the application's runtime, which the first of them starts."""

    def __init__(self, app: ASGIApp, namespace: str) -> None:
        super().__init__(_Door(app), namespace)

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Refuse: sockets are the gateway's."""
        raise ActorError(
            "feature",
            "unsupported",
            "A client inside of the server makes calls. To hear events, connect over HTTP: "
            "`Client(url)`.",
        )


class _Door:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def dispatch(self, command: CallAction | GetActor | RawRequest, /) -> object:
        process = await self._app.start()
        return await process.runtime.dispatch(command)
