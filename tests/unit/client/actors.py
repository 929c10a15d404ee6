"""Actors and servers that the client's tests share."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel

from rivetless.actor.base import Actor
from rivetless.actor.dead_letters import DeadLetter
from rivetless.actor.declare import ActionGroup, Event, action
from rivetless.client import Client, RetryPolicy
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
)
from rivetless.client.retry import NO_RETRIES
from rivetless.client.sockets import MemorySocket, Socket, memory_sockets
from rivetless.errors import ActorError
from rivetless.protocol import messages
from rivetless.protocol.codec import JSON, EncodingName
from rivetless.testing.clock import FakeClock, settle


class Member(BaseModel):
    name: str


class Message(BaseModel):
    sender: str
    text: str


class JoinParams(BaseModel):
    token: str


class RoomInput(BaseModel):
    title: str


class RoomState(BaseModel):
    title: str = ""


class Admin(ActionGroup["ChatRoom"]):
    @action
    async def ban(self, name: str) -> bool:
        """Ban somebody."""
        return True


class ChatRoom(Actor[RoomState, None, JoinParams]):
    """A room."""

    new_message = Event[Message]()
    cleared = Event[None]()
    moved = Event[tuple[int, str]]()

    admin = Admin()

    async def create_state(self, input: RoomInput) -> RoomState:
        return RoomState(title=input.title)

    @action
    async def send_message(self, text: str, *, urgent: bool = False) -> Message:
        """Say something."""
        return Message(sender="", text=text)

    @action
    async def members(self) -> list[Member]:
        return []


class Counter(Actor[int]):
    @action
    async def increment(self, amount: int = 1) -> int:
        return amount

    @action
    async def destroy_it(self) -> None: ...


class ScriptedTransport:
    """A transport whose sockets a test serves by hand, and whose calls fail or answer as told.

    Attributes:
        sockets: the server's ends, oldest first.
        requests: what was asked.
        answers: for each call in turn: an output, or an error to raise.
        refusals: for each attempt to open a socket in turn: an error, or None.
    """

    def __init__(self, retries: RetryPolicy = NO_RETRIES) -> None:
        self.sockets: list[Server] = []
        self.requests: list[object] = []
        self.answers: list[object] = []
        self.refusals: list[ActorError | None] = []
        self.closed = False
        self._retries = retries

    @property
    def encoding(self) -> EncodingName:
        return "json"

    @property
    def retries(self) -> RetryPolicy:
        return self._retries

    @property
    def server(self) -> Server:
        """The newest socket's server end."""
        return self.sockets[-1]

    def _next(self, request: object) -> object:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def call(self, call: ActionCall, /) -> object:
        return self._next(call)

    async def enqueue(self, send: QueueSend, /) -> QueueReply:
        answer = self._next(send)
        return answer if isinstance(answer, QueueReply) else QueueReply("completed", answer)

    async def fetch(self, request: FetchRequest, /) -> FetchResponse:
        answer = self._next(request)
        return answer if isinstance(answer, FetchResponse) else FetchResponse(200)

    async def locate(self, location: Location, /) -> str:
        return str(self._next(location))

    async def letters(self, query: LetterQuery, /) -> list[DeadLetter]:
        return cast("list[DeadLetter]", self._next(query))

    async def replay_letter(self, replay: LetterReplay, /) -> bool:
        return bool(self._next(replay))

    async def purge_letters(self, purge: LettersPurge, /) -> int:
        return cast("int", self._next(purge))

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        self.requests.append(request)
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        client, server = memory_sockets()
        self.sockets.append(Server(server, request))
        return client

    async def aclose(self) -> None:
        self.closed = True


class Server:
    """The server's end of a socket, driven frame by frame."""

    def __init__(self, socket: MemorySocket, request: SocketRequest) -> None:
        self.socket = socket
        self.request = request

    @property
    def is_open(self) -> bool:
        return self.socket.close_code is None

    async def send(self, *frames: messages.ToClient) -> None:
        for frame in frames:
            await self.socket.send(JSON.frame(frame))
        await settle()

    async def init(self, actor_id: str = "actor-1", connection_id: str = "conn-1") -> None:
        await self.send(messages.Init(actor_id, connection_id))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.socket.close(code, reason)
        await settle()

    async def received(self) -> list[messages.ToServer]:
        """Everything that has come since the last look."""
        await settle()
        frames: list[messages.ToServer] = []
        while self.socket.pending:
            frames.append(JSON.decode_to_server(await self.socket.receive()).message)
        return frames

    async def action(self) -> messages.ActionRequest:
        """The one action that has come."""
        (request,) = [
            frame for frame in await self.received() if isinstance(frame, messages.ActionRequest)
        ]
        return request


def client_over(
    transport: ScriptedTransport, clock: FakeClock, retries: RetryPolicy | None = None
) -> Client:
    return Client(transport=transport, clock=clock, retries=retries)
