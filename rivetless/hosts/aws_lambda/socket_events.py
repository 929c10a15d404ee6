"""WebSocket events of API Gateway, and our own messages about sockets.

``$connect`` and ``$disconnect`` are put into a queue, whatever function gets them: it needs neither
store nor actors. With ordered frames ``$default`` gets there without a function; without, the
function that gets it works the frame on the spot. ``websocket`` says what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation
    from rivetless.hosts.aws_lambda.websocket import Frame

__all__ = ["SocketEvent", "socket_message"]

_KINDS: Final = ("CONNECT", "MESSAGE", "DISCONNECT")


class SocketEvent:
    """``$connect``, ``$default`` or ``$disconnect`` of a WebSocket API.

    Args:
        event: as API Gateway sends it.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    @property
    def kind(self) -> str:
        """For logs and metrics."""
        return "socket"

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        """Know it by its type and its connection."""
        context = event.get("requestContext")
        if not isinstance(context, Mapping) or "connectionId" not in context:
            return None
        kind: object = cast("Mapping[str, Any]", context).get("eventType")
        return cls(event) if kind in _KINDS else None

    async def handle(self, invocation: Invocation) -> object:
        """Pass it on; the answer of ``$connect`` opens the socket, the others' mean nothing."""
        from rivetless.hosts.aws_lambda.websocket import Connect, Frame, accepted, message_of

        process = invocation.process
        door = process.sockets
        try:
            message = message_of(self._event)
        except Exception as error:
            process.note(error, "a socket's event cannot be read")
            return {"statusCode": 400}
        if isinstance(message, Frame) and not door.ordered:
            await self._work(message, invocation)
            return {"statusCode": 200}
        if isinstance(message, Frame):
            message = replace(message, unordered=False)
        try:
            await door.enqueue(message)
        except Exception as error:
            process.note(error, "an event of connection %s is lost", message.conn_id)
            # A socket that opened would never be answered.
            return {"statusCode": 503}
        return accepted(message) if isinstance(message, Connect) else {"statusCode": 200}

    async def _work(self, frame: Frame, invocation: Invocation) -> None:
        """Work a frame on the spot; API Gateway would not call again if that failed."""
        process = invocation.process
        try:
            await process.sockets.work(frame, invocation)
        except Exception as error:
            process.note(error, "a frame of connection %s is put off", frame.conn_id)
            try:
                again = replace(frame, tries=frame.tries + 1)
                await process.sockets.enqueue(again, delay=1.0)
            except Exception as second:
                process.note(second, "a frame of connection %s is lost", frame.conn_id)


async def socket_message(message: Mapping[str, Any], invocation: Invocation) -> None:
    """``{"rivetless": "connect", "connection": ID, ...}``; ``frame``, ``disconnect``: work it."""
    from rivetless.hosts.aws_lambda.websocket import read_message

    await invocation.process.sockets.work(read_message(message), invocation)
