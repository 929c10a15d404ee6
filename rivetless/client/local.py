"""``LocalTransport``: calls that stay in the process.

``self.client`` inside of actors and the test rig use it. It shares no value with the actor: what
goes in and out is copied as if it had crossed a wire.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from rivetless.actor.dead_letters import DeadLetter
from rivetless.client.calls import (
    ActionCall,
    FetchRequest,
    FetchResponse,
    LetterQuery,
    LetterReplay,
    LettersPurge,
    Location,
    Origin,
    QueueReply,
    QueueSend,
    SocketRequest,
)
from rivetless.client.retry import NO_RETRIES, RetryPolicy
from rivetless.client.sockets import Socket
from rivetless.client.transports import Dispatcher
from rivetless.errors import internal_error
from rivetless.protocol import values
from rivetless.protocol.codec import EncodingName

__all__ = ["Caller", "LocalTransport", "detach"]

log = logging.getLogger("rivetless.client")

Request: TypeAlias = (
    ActionCall
    | QueueSend
    | FetchRequest
    | SocketRequest
    | Location
    | LetterQuery
    | LetterReplay
    | LettersPurge
)
"""What a client can ask for."""

RequestT = TypeVar("RequestT", bound=Request)

_ATOMS: Final = frozenset({str, int, bool, float, type(None), bytes, datetime})


class Caller(Protocol):
    """The turn that makes the calls."""

    @abstractmethod
    async def begin(self, request: Request, /) -> Origin:
        """Say which call this is, once for each call that the turn makes, in order.

        May wait first, e.g. until what the turn has seen is durable, or refuse by raising.
        """


class LocalTransport:
    """Gives calls to a runtime in this process.

    Args:
        dispatcher: the runtime's side.
        caller: the turn that calls; None for calls from outside.
        encoding: how frames on its sockets are written.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        caller: Caller | None = None,
        encoding: EncodingName = "json",
    ) -> None:
        self._dispatcher = dispatcher
        self._caller = caller
        self._encoding: EncodingName = encoding

    @property
    def encoding(self) -> EncodingName:
        """How frames are written; JSON needs no extra."""
        return self._encoding

    @property
    def retries(self) -> RetryPolicy:
        """None: a runtime in this process waits by itself for what is worth waiting for."""
        return NO_RETRIES

    async def call(self, call: ActionCall, /) -> object:
        """Run an action."""
        args = [detach(value) for value in call.args]
        call = replace(call, args=args, params=detach(call.params))
        output = await self._dispatcher.call(await self._begin(call))
        try:
            return detach(output)
        except TypeError as error:
            # The callee's mistake, of which its caller learns no more than over a wire.
            log.exception("%s of %s returned what cannot be sent", call.action, call.target)
            raise internal_error() from error

    async def enqueue(self, send: QueueSend, /) -> QueueReply:
        """Send a message to a queue."""
        send = replace(send, body=detach(send.body), params=detach(send.params))
        reply = await self._dispatcher.enqueue(await self._begin(send))
        return QueueReply(reply.status, detach(reply.response))

    async def fetch(self, request: FetchRequest, /) -> FetchResponse:
        """Make an HTTP request."""
        request = replace(request, params=detach(request.params))
        return await self._dispatcher.fetch(await self._begin(request))

    async def locate(self, location: Location, /) -> str:
        """Return an actor's id."""
        return await self._dispatcher.locate(await self._begin(location))

    async def letters(self, query: LetterQuery, /) -> list[DeadLetter]:
        """List dead letters."""
        found = await self._dispatcher.letters(await self._begin(query))
        return [replace(letter, body=detach(letter.body)) for letter in found]

    async def replay_letter(self, replay: LetterReplay, /) -> bool:
        """Put a dead letter back."""
        return await self._dispatcher.replay_letter(await self._begin(replay))

    async def purge_letters(self, purge: LettersPurge, /) -> int:
        """Throw dead letters away."""
        return await self._dispatcher.purge_letters(await self._begin(purge))

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Open a socket in memory."""
        request = replace(request, params=detach(request.params))
        return await self._dispatcher.open_socket(await self._begin(request))

    async def aclose(self) -> None:
        """Do nothing: the runtime is not ours."""

    async def _begin(self, request: RequestT) -> RequestT:
        if self._caller is None:
            return request
        return replace(request, origin=await self._caller.begin(request))


def detach(value: Any) -> Any:
    """Return a plain value that shares nothing changeable with ``value``.

    Gives what the other side of a wire would see, without writing bytes: tuples become lists,
    models and dataclasses dicts.

    Raises:
        TypeError: the value has no form on the wire.
    """
    if type(value) in _ATOMS:
        return value
    return _copy(value, values.MAX_DEPTH)


def _copy(value: object, depth: int) -> Any:
    if depth <= 0:
        raise TypeError(f"A value nests deeper than {values.MAX_DEPTH} lists and dicts.")
    kind = type(value)
    if kind is list or kind is tuple:
        items = cast("Sequence[Any]", value)
        return [item if type(item) in _ATOMS else _copy(item, depth - 1) for item in items]
    if kind is dict:
        mapping = cast("Mapping[Any, Any]", value)
        if all(type(key) is str for key in mapping):
            return {
                key: item if type(item) in _ATOMS else _copy(item, depth - 1)
                for key, item in mapping.items()
            }
    # Rare kinds take the long way, through the same conversions as on the wire.
    return values.untag(values.tag(value, values.JSON))
