"""Calls that stay in the process: what ``self.client`` and the test rig talk to."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from rivetless import errors
from rivetless.actor.dead_letters import DeadLetter, shown
from rivetless.actor.turn import RequestInfo, latin_headers
from rivetless.client import calls
from rivetless.client.client import Client
from rivetless.client.local import LocalTransport
from rivetless.keys import Address
from rivetless.protocol import codec
from rivetless.protocol.messages import CURRENT_VERSION, HttpError
from rivetless.protocol.values import JSON, tag
from rivetless.runtime.commands import (
    ActorInfo,
    ById,
    ByKey,
    CallAction,
    GetActor,
    ListLetters,
    Origin,
    PurgeLetters,
    RawRequest,
    ReplayLetter,
    SendMessage,
    Target,
)
from rivetless.runtime.outbox import Outbox
from rivetless.runtime.sending import SEND, write_send

if TYPE_CHECKING:
    from rivetless.client.sockets import Socket
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

STRETCH: Final = 8
"""Calls in calls that share a stack: each is some twenty frames, and Python allows a thousand."""


class Door(Protocol):
    """What takes commands: a ``Runtime``, or something in front of one."""

    @abstractmethod
    async def dispatch(self, command: Any, /) -> Any:
        """Run a command."""


class LocalDispatcher:
    """Gives a client's calls to a runtime. Implements ``client.transports.Dispatcher``."""

    def __init__(self, runtime: Door, namespace: str) -> None:
        self._runtime = runtime
        self._namespace = namespace

    @property
    def hops(self) -> float:
        """How many wakes that actors made themselves led to what is called."""
        return 0.0

    async def call(self, call: calls.ActionCall, /) -> object:
        """Run an action and return its plain output."""
        origin = self._origin(call.origin, call.params, call.idempotency_key)
        command = CallAction(self.target(call.target), call.action, list(call.args), origin)
        return (await self._dispatch(command)).output

    async def enqueue(self, send: calls.QueueSend, /) -> calls.QueueReply:
        """Send a message to a queue."""
        origin = self._origin(send.origin, send.params, send.idempotency_key)
        target = self.target(send.target)
        command = SendMessage(target, send.queue, send.body, send.wait, send.timeout, origin)
        result = await self._dispatch(command)
        return calls.QueueReply(result.status, result.response)

    async def fetch(self, request: calls.FetchRequest, /) -> calls.FetchResponse:
        """Make an HTTP request to ``on_request``."""
        headers = latin_headers((name.lower(), value) for name, value in request.headers)
        info = RequestInfo(request.method, f"http://127.0.0.1{request.path}", headers, request.body)
        origin = self._origin(request.origin, request.params, None, info)
        try:
            answer = await self._dispatch(RawRequest(self.target(request.target), origin))
        except errors.ActorError as error:
            # As over HTTP: what the actor raises is an answer like any other.
            body = codec.JSON.encode(HttpError.of(error), CURRENT_VERSION)
            kind = (("content-type", codec.JSON.content_type),)
            return calls.FetchResponse(errors.status_of(error), kind, body)
        return calls.FetchResponse(answer.status, answer.headers, answer.body)

    async def locate(self, location: calls.Location, /) -> str:
        """Return an actor's id; creates it where the target says so."""
        command = GetActor(self.target(location.target), exclusive=location.exclusive)
        info: ActorInfo = await self._dispatch(command)
        return info.actor_id

    async def letters(self, query: calls.LetterQuery, /) -> list[DeadLetter]:
        """List an actor's dead letters."""
        command = ListLetters(await self._life(query.target), query.limit, query.kind)
        return [shown(letter) for letter in await self._dispatch(command)]

    async def replay_letter(self, replay: calls.LetterReplay, /) -> bool:
        """Put one of an actor's dead letters back."""
        command = ReplayLetter(await self._life(replay.target), replay.letter_id)
        return int(await self._dispatch(command)) > 0

    async def purge_letters(self, purge: calls.LettersPurge, /) -> int:
        """Throw an actor's dead letters away."""
        command = PurgeLetters(await self._life(purge.target), purge.letter_id)
        return int(await self._dispatch(command))

    async def _life(self, target: calls.Target) -> ById:
        """Find the present life of an actor, without creating one."""
        found = self.target(target)
        if isinstance(found, ById):
            return found
        info: ActorInfo = await self._dispatch(GetActor(replace(found, create=False)))
        return ById(self._namespace, info.actor_id)

    async def open_socket(self, request: calls.SocketRequest, /) -> Socket:
        """Refuse: a turn ends, and a connection of it would end with it."""
        raise errors.ActorError(
            "feature",
            "unsupported",
            "An actor cannot keep a connection to another actor open between its turns. Let the "
            "other actor call an action of this one instead of sending it events.",
        )

    async def _dispatch(self, command: Any) -> Any:
        try:
            return await self._runtime.dispatch(command)
        except Exception as error:
            # Actors see each other as strangers do: nothing that is masked for clients leaks.
            raise errors.public_error(error) from error

    def target(self, target: calls.Target) -> Target:
        """Translate a client's target."""
        if isinstance(target, calls.ById):
            return ById(self._namespace, target.actor_id)
        address = Address(self._namespace, target.name, target.key)
        return ByKey(address, create=target.create, input=target.input)

    def _origin(
        self,
        origin: calls.Origin,
        params: object,
        idempotency_key: str | None,
        request: RequestInfo | None = None,
    ) -> Origin:
        key = origin.call_key
        if key is None and idempotency_key is not None:
            key = f"i:{idempotency_key}"
        return Origin(request, params, key, origin.chain, origin.deadline, hops=self.hops)


class TurnCaller:
    """Says to which turn a call belongs. Implements ``client.local.Caller``."""

    def __init__(self, turn: ActorTurn) -> None:
        self._turn = turn

    async def begin(self, request: object, /) -> calls.Origin:
        """Name the call, and wait until what the turn has seen is durable."""
        turn = self._turn
        key: str | None = None
        if isinstance(request, calls.QueueSend):
            if not request.wait:
                return calls.Origin()  # it joins the commit
            body = json.dumps(tag(request.body, JSON)).encode()
            key = turn.call_key(calls.describe(request.target), f"queue {request.queue}", body)
        elif isinstance(request, calls.ActionCall):
            args = json.dumps(tag(list(request.args), JSON)).encode()
            target = request.target
            key = turn.call_key(calls.describe(target), request.action, args)
        else:
            # Counted as a call, though only actions are answered from what is stored.
            turn.call_key("", type(request).__name__, b"")
        await turn.port_call(turn.reach_out())
        return calls.Origin(key, turn.chain(), turn.job.deadline)


class TurnDispatcher(LocalDispatcher):
    """The calls of a turn: what it sends without waiting is sent with its commit."""

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn.runtime, turn.address.namespace)
        self._turn = turn

    @property
    def hops(self) -> float:
        """Those of the turn."""
        return self._turn.job.hops

    async def _dispatch(self, command: Any) -> Any:
        job = self._turn.job
        dispatching = super()._dispatch(command)
        with job.calling():
            if len(job.origin.chain) % STRETCH == STRETCH - 1:
                return await asyncio.get_running_loop().create_task(dispatching)
            return await dispatching

    async def enqueue(self, send: calls.QueueSend, /) -> calls.QueueReply:
        """Send a message to a queue."""
        if send.wait:
            return await super().enqueue(send)
        self._turn.part(Outbox).add(SEND, write_send(self._turn.address.namespace, send))
        return calls.QueueReply("completed")


def client_for(runtime: Runtime, turn: ActorTurn) -> Client:
    """Return a client whose calls belong to the turn, in the turn's namespace."""
    transport = LocalTransport(TurnDispatcher(turn), caller=TurnCaller(turn))
    return Client(transport=transport, clock=runtime.clock)
