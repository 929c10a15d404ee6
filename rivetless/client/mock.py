"""``MockTransport``: a client without actors, for the tests of code that calls them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, cast
from uuid import uuid4

from rivetless.actor.dead_letters import DeadLetter
from rivetless.actor.declare import Event
from rivetless.client.calls import (
    ActionCall,
    FetchRequest,
    FetchResponse,
    LetterQuery,
    LetterReplay,
    LettersPurge,
    Location,
    QueueReply,
    QueueSend,
    SocketRequest,
    describe,
)
from rivetless.client.local import Request, detach
from rivetless.client.retry import NO_RETRIES, RetryPolicy
from rivetless.client.sockets import MemorySocket, Socket, SocketClosed, memory_sockets
from rivetless.errors import action_not_found, public_error
from rivetless.protocol import messages
from rivetless.protocol.codec import EncodingName, codec_for

__all__ = ["MockTransport"]


class MockTransport:
    """Answers every call with a function of yours.

    ```python
    def answer(request: ActionCall) -> object:
        match request:
            case ActionCall(action="increment", args=[amount]):
                return 10 + amount
        raise UserError("no")

    client = Client(transport=MockTransport(answer))
    ```

    The function may be async. What it returns is the action's output, the reply of
    ``send_and_wait``, a ``FetchResponse`` or its body, the id that ``resolve`` gives, or what
    ``dead_letters`` finds: a list of ``DeadLetter``, whether one was put back, how many are gone.
    Connections open by themselves; their actions are asked like all others.

    Args:
        answer: is asked; None for a function that knows no action.

    Attributes:
        requests: everything that was asked, in order.
    """

    def __init__(self, answer: Callable[[Any], object] | None = None) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self._connections: set[_MockConnection] = set()

    @property
    def encoding(self) -> EncodingName:
        """JSON, which needs no extra."""
        return "json"

    @property
    def retries(self) -> RetryPolicy:
        """None: what the function raises is what the caller gets."""
        return NO_RETRIES

    async def emit(self, event: Event[Any] | str, *payload: object) -> None:
        """Send an event to every connection that listens to it.

        Args:
            event: the declaration, or the name on the wire.
            payload: its payload; by name, its arguments.
        """
        if isinstance(event, str):
            name, args = event, [detach(value) for value in payload]
        else:
            name, args = event.name, event.encode(*(payload or (None,)))
        frame = codec_for(self.encoding).frame(messages.Event(name, args))
        for connection in list(self._connections):
            if name in connection.events:
                await connection.socket.send(frame)

    async def disconnect(self, code: int = 1006, reason: str = "") -> None:
        """Break every connection, as a server that goes away does."""
        for connection in list(self._connections):
            await connection.socket.close(code, reason)

    # -- what the client calls ------------------------------------------------------------------

    async def call(self, call: ActionCall, /) -> object:
        """Ask the function for an action's output."""
        return detach(await self._ask(call))

    async def enqueue(self, send: QueueSend, /) -> QueueReply:
        """Ask the function for the reply to a message."""
        reply = await self._ask(send)
        return reply if isinstance(reply, QueueReply) else QueueReply("completed", detach(reply))

    async def fetch(self, request: FetchRequest, /) -> FetchResponse:
        """Ask the function for the answer to a request."""
        answer = await self._ask(request)
        if isinstance(answer, FetchResponse):
            return answer
        if isinstance(answer, (str, bytes)):
            return FetchResponse(200, (), answer.encode() if isinstance(answer, str) else answer)
        body = json.dumps(detach(answer)).encode()
        return FetchResponse(200, (("content-type", "application/json"),), body)

    async def locate(self, location: Location, /) -> str:
        """Ask the function for an actor's id; makes one up if it knows none."""
        actor_id = await self._ask(location)
        return actor_id if isinstance(actor_id, str) else describe(location.target)

    async def letters(self, query: LetterQuery, /) -> list[DeadLetter]:
        """Ask the function for dead letters; there are none if it knows none."""
        return list(cast("list[DeadLetter]", await self._ask(query) or []))

    async def replay_letter(self, replay: LetterReplay, /) -> bool:
        """Ask the function whether there was such a letter."""
        return bool(await self._ask(replay))

    async def purge_letters(self, purge: LettersPurge, /) -> int:
        """Ask the function how many letters are gone."""
        return int(cast("int", await self._ask(purge) or 0))

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Open a connection; a raw WebSocket is what the function returns."""
        if request.path != "/connect":
            socket = await self._ask(request)
            if not isinstance(socket, MemorySocket):
                raise TypeError(
                    "For a raw WebSocket the function returns an end of memory_sockets()."
                )
            return socket
        self.requests.append(request)
        client, server = memory_sockets()
        connection = _MockConnection(self, request, server)
        self._connections.add(connection)
        task = asyncio.get_running_loop().create_task(connection.serve())
        task.add_done_callback(lambda _: self._connections.discard(connection))
        connection.task = task
        return client

    async def aclose(self) -> None:
        """Close what is open."""
        for connection in list(self._connections):
            await connection.socket.close(1001)
            if connection.task is not None:
                await asyncio.gather(connection.task, return_exceptions=True)

    async def _ask(self, request: Request) -> object:
        self.requests.append(request)
        if self._answer is None:
            if isinstance(request, ActionCall):
                raise action_not_found(request.action)
            return None
        answer = self._answer(request)
        return await answer if isawaitable(answer) else answer


class _MockConnection:
    """The server's side of a connection."""

    def __init__(self, mock: MockTransport, request: SocketRequest, socket: MemorySocket) -> None:
        self.events: set[str] = set()
        self.socket = socket
        self.task: asyncio.Task[None] | None = None
        self._mock = mock
        self._request = request
        self._codec = codec_for(mock.encoding)

    async def serve(self) -> None:
        try:
            await self._send(messages.Init(describe(self._request.target), uuid4().hex))
            while True:
                frame = await self.socket.receive()
                match self._codec.decode_to_server(frame).message:
                    case messages.SubscriptionRequest(event, wanted):
                        self.events.add(event) if wanted else self.events.discard(event)
                    case messages.ActionRequest() as request:
                        await self._send(await self._act(request))
        except SocketClosed:
            return

    async def _act(self, request: messages.ActionRequest) -> messages.ToClient:
        call = ActionCall(self._request.target, request.name, request.args, self._request.params)
        try:
            return messages.ActionResponse(request.id, await self._mock.call(call))
        except Exception as error:
            return messages.ErrorFrame.of(public_error(error), request.id)

    async def _send(self, message: messages.ToClient) -> None:
        await self.socket.send(self._codec.frame(message))
