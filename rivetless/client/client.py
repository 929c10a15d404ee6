"""``Client``: where handles and connections come from."""

from __future__ import annotations

import json as jsonlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, cast, overload
from urllib.parse import urlencode
from weakref import WeakSet

from rivetless.actor.base import Actor
from rivetless.actor.definition import ActorDefinition
from rivetless.actor.queue import Queue
from rivetless.actor.typing import CreatedWith
from rivetless.client import failures
from rivetless.client.arguments import (
    KeyLike,
    check_key,
    fresh_key,
    keyed,
    plain_input,
    plain_params,
    quoted,
)
from rivetless.client.calls import (
    ActionCall,
    ById,
    ByKey,
    FetchRequest,
    FetchResponse,
    Location,
    QueueSend,
    SocketRequest,
    Target,
)
from rivetless.client.connection import Connection
from rivetless.client.handle import (
    Binding,
    Handle,
    Params,
    binding_of,
    definition_of,
    queue_of,
)
from rivetless.client.letters import LetterBox
from rivetless.client.retry import RetryPolicy, retrying
from rivetless.client.sockets import Socket
from rivetless.client.transports import Transport
from rivetless.client.typing import ConnectedWith
from rivetless.client.websocket import WebSocketOpening
from rivetless.clock import Clock, SystemClock
from rivetless.errors import ActorError
from rivetless.protocol.codec import EncodingName, codec_for
from rivetless.protocol.routes import websocket_path

__all__ = ["Client"]

ActorT = TypeVar("ActorT", bound=Actor[Any, Any, Any])
InputT = TypeVar("InputT")
ParamsT = TypeVar("ParamsT")
HandleT = TypeVar("HandleT")
BodyT = TypeVar("BodyT")
ReplyT = TypeVar("ReplyT")
ResultT = TypeVar("ResultT")


class Client:
    """Calls actors: over HTTP, or whatever ``transport`` does.

    Handles cost nothing and talk to nobody until they are used; each use looks the actor up anew.
    Use the client as ``async with``, or call ``aclose`` at the end.

    Args:
        endpoint: the server, with credentials if need be: ``https://namespace:token@host/path``. By
            default ``RIVET_ENGINE`` or ``RIVET_ENDPOINT`` in the environment, else
            ``http://localhost:6420``.
        token: credential; by default ``RIVET_TOKEN``.
        namespace: whose actors; by default ``RIVET_NAMESPACE``, else ``default``.
        pool: who may run actors that this client creates; by default ``RIVET_POOL``, else
            ``default``.
        encoding: how calls are written: ``bare``, ``cbor`` or ``json``.
        headers: added to every HTTP request, not to WebSocket upgrades.
        timeout: seconds to wait for the answer of one request; None waits as long as the server
            does.
        metadata_lookup: ask the server first whether clients should go elsewhere.
        retries: when calls are tried again; the official client's rules by default.
        transport: carries the calls instead of HTTP; nothing of the above goes with it but
            ``retries``.
        clock: measures pauses and time-outs.
        rng: makes idempotency keys, and lengthens pauses at random.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        namespace: str | None = None,
        pool: str | None = None,
        encoding: EncodingName = "bare",
        headers: Mapping[str, str] | None = None,
        timeout: float | timedelta | None = None,
        metadata_lookup: bool = True,
        retries: RetryPolicy | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._rng = rng or random.SystemRandom()
        if transport is None:
            # Loads httpx and websockets.
            from rivetless.client.http import HTTPTransport

            transport = HTTPTransport(
                endpoint,
                token=token,
                namespace=namespace,
                pool=pool,
                encoding=encoding,
                headers=headers,
                timeout=timeout,
                metadata_lookup=metadata_lookup,
                clock=self._clock,
            )
        elif endpoint or token or namespace or pool or headers:
            raise ValueError("Endpoint and credentials belong to the transport where one is given.")
        self._transport = transport
        self._retries = retries or transport.retries
        # Weakly: those that are open are held by their tasks.
        self._connections: WeakSet[Connection[Any]] = WeakSet()
        self._closed = False

    # -- handles --------------------------------------------------------------------------------

    @overload
    def get(self, actor: type[ActorT], key: KeyLike = None, *, params: Params = None) -> ActorT: ...
    @overload
    def get(self, actor: str, key: KeyLike = None, *, params: Params = None) -> Handle: ...
    def get(self, actor: type[Any] | str, key: KeyLike = None, *, params: Params = None) -> Any:
        """Return a handle of an actor that exists; its calls end in ``actor.not_found`` if it does
        not.

        Args:
            actor: the class, whose actions the handle then has with their types; or the name on the
                wire.
            key: the actor's key.
            params: connection parameters of every call and connection; a function that returns an
                awaitable is asked for them each time.
        """
        name, definition = definition_of(actor)
        target = ByKey(name, check_key(key))
        return self._handle(target, definition, params)

    @overload
    def get_or_create(
        self,
        actor: type[CreatedWith[ActorT, InputT]],
        key: KeyLike = None,
        *,
        input: InputT,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> ActorT: ...
    @overload
    def get_or_create(
        self,
        actor: type[ActorT],
        key: KeyLike = None,
        *,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> ActorT: ...
    @overload
    def get_or_create(
        self,
        actor: str,
        key: KeyLike = None,
        *,
        input: object = None,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> Handle: ...
    def get_or_create(
        self,
        actor: type[Any] | str,
        key: KeyLike = None,
        *,
        input: Any = None,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> Any:
        """Return a handle of an actor that is created by the first call if it does not exist.

        Args:
            actor: as ``get``.
            key: as ``get``.
            input: for ``create_state``; used only by a call that creates.
            params: as ``get``.
            region: where to create it.
            pool: who may run it, instead of the client's pool.
        """
        name, definition = definition_of(actor)
        target = ByKey(
            name,
            check_key(key),
            create=True,
            input=plain_input(definition, input),
            region=region,
            pool=pool,
        )
        return self._handle(target, definition, params)

    @overload
    async def create(
        self,
        actor: type[CreatedWith[ActorT, InputT]],
        key: KeyLike = None,
        *,
        input: InputT,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> ActorT: ...
    @overload
    async def create(
        self,
        actor: type[ActorT],
        key: KeyLike = None,
        *,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> ActorT: ...
    @overload
    async def create(
        self,
        actor: str,
        key: KeyLike = None,
        *,
        input: object = None,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> Handle: ...
    async def create(
        self,
        actor: type[Any] | str,
        key: KeyLike = None,
        *,
        input: Any = None,
        params: Params = None,
        region: str | None = None,
        pool: str | None = None,
    ) -> Any:
        """Create an actor and return a handle of this very life of it. Arguments as
        ``get_or_create``.

        Raises:
            ActorError: ``actor.duplicate_key`` if the key is taken.
        """
        name, definition = definition_of(actor)
        target = ByKey(
            name,
            check_key(key),
            create=True,
            input=plain_input(definition, input),
            region=region,
            pool=pool,
        )
        self._check_open()
        actor_id = await self._locate(Location(target, exclusive=True))
        return self._handle(ById(actor_id), definition, params)

    @overload
    def get_for_id(
        self, actor: type[ActorT], actor_id: str, *, params: Params = None
    ) -> ActorT: ...
    @overload
    def get_for_id(self, actor: str, actor_id: str, *, params: Params = None) -> Handle: ...
    def get_for_id(self, actor: type[Any] | str, actor_id: str, *, params: Params = None) -> Any:
        """Return a handle of one life of an actor: once that is destroyed, calls end in
        ``actor.not_found``.

        Args:
            actor: as ``get``.
            actor_id: what ``resolve`` returned, or ``self.actor_id`` in the actor.
            params: as ``get``.
        """
        _, definition = definition_of(actor)
        return self._handle(ById(actor_id), definition, params)

    def with_options(
        self, handle: HandleT, *, idempotency_key: str | None = None, params: Params = None
    ) -> HandleT:
        """Return a handle like ``handle`` with other options.

        Args:
            handle: any handle.
            idempotency_key: sent with its calls. A rivetless server runs an action once for each
                key and answers repeats from what it stored; using a key again for other arguments
                is an error.
            params: connection parameters.
        """
        binding = binding_of(handle)
        return cast(
            "HandleT",
            self._handle(
                binding.target,
                binding.definition,
                binding.params if params is None else params,
                idempotency_key or binding.idempotency_key,
            ),
        )

    # -- what is done with handles --------------------------------------------------------------

    @overload
    def connect(
        self,
        actor: ConnectedWith[ActorT, ParamsT],
        params: ParamsT | Callable[[], Awaitable[ParamsT]],
    ) -> Connection[ActorT]: ...
    @overload
    def connect(self, actor: Handle, params: Params = None) -> Connection[Any]: ...
    @overload
    def connect(self, actor: ActorT) -> Connection[ActorT]: ...
    def connect(self, actor: Any, params: Params = None) -> Connection[Any]:
        """Return a connection, which opens on ``async with``.

        Args:
            actor: a handle.
            params: connection parameters, or an async function that makes them for each attempt to
                connect (a fresh token, say); by default those of the handle.
        """
        self._check_open()
        binding = binding_of(actor)
        chosen = binding.params if params is None else params
        connection: Connection[Any] = Connection(
            binding,
            lambda: plain_params(binding.definition, chosen),
            transport=self._transport,
            codec=codec_for(self._transport.encoding),
            clock=self._clock,
            rng=self._rng,
        )
        self._connections.add(connection)
        return connection

    @overload
    async def send(self, actor: object, queue: Queue[BodyT, Any], body: BodyT) -> None: ...
    @overload
    async def send(self, actor: object, queue: str, body: object = None) -> None: ...
    async def send(self, actor: object, queue: Queue[Any, Any] | str, body: Any = None) -> None:
        """Send a message to an actor's queue; returns when it is stored.

        Inside of an actor, ``self.client.send`` sends with the commit of the turn, exactly once.

        Args:
            actor: a handle.
            queue: the queue, or its name. What is sent to one that the actor does not have is
                thrown away.
            body: the message.

        Raises:
            ActorError: ``queue.full``, ``queue.message_too_large``, ``actor.validation_error``,
                ``auth.forbidden``.
        """
        await self._enqueue(actor, queue, body, wait=False, timeout=None)

    @overload
    async def send_and_wait(
        self,
        actor: object,
        queue: Queue[BodyT, ReplyT],
        body: BodyT,
        *,
        timeout: float | timedelta | None = None,
    ) -> ReplyT: ...
    @overload
    async def send_and_wait(
        self,
        actor: object,
        queue: str,
        body: object = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> Any: ...
    async def send_and_wait(
        self,
        actor: object,
        queue: Queue[Any, Any] | str,
        body: Any = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> Any:
        """Send a message to an actor's queue and return what it was completed with.

        Args:
            actor: a handle.
            queue: the queue, or its name.
            body: the message.
            timeout: how long to wait; at most as long as an action of the actor may take.

        Raises:
            ActorError: ``queue.timed_out`` when the time was over; the message stays queued.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return await self._enqueue(actor, queue, body, wait=True, timeout=seconds)

    async def fetch(
        self,
        actor: object,
        path: str = "/",
        *,
        method: str = "GET",
        query: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: str | bytes = b"",
        json: object = None,
    ) -> FetchResponse:
        """Make an HTTP request to an actor's ``on_request``. Any status it answers is returned.

        Args:
            actor: a handle.
            path: what the actor sees; it may have a query.
            method: HTTP method.
            query: appended to the path.
            headers: of the request.
            body: of the request.
            json: a body to be written as JSON, instead of ``body``.
        """
        binding = self._binding(actor)
        items = headers.items() if isinstance(headers, Mapping) else headers or ()
        fields = [(name.lower(), value) for name, value in items]
        content = body.encode() if isinstance(body, str) else body
        if json is not None:
            content = jsonlib.dumps(json).encode()
            if not any(name == "content-type" for name, _ in fields):
                fields.append(("content-type", "application/json"))
        if query:
            path += ("&" if "?" in path else "?") + urlencode(
                list(query.items()) if isinstance(query, Mapping) else list(query)
            )
        path = quoted(path)
        request = FetchRequest(
            binding.target,
            method.upper(),
            path if path.startswith("/") else f"/{path}",
            tuple(fields),
            content,
            await plain_params(binding.definition, binding.params),
        )
        answers: list[FetchResponse] = []

        async def attempt() -> FetchResponse:
            answers.clear()
            answers.append(await self._transport.fetch(request))
            error = answers[0].error()
            if error is not None:
                raise error
            return answers[0]

        try:
            return await self._retry(attempt, request.target)
        except ActorError:
            # The actor's answer, as it came; only the rules for trying again needed it as an error.
            if answers:
                return answers[0]
            raise

    def web_socket(self, actor: object, path: str = "/") -> WebSocketOpening:
        """Return a raw WebSocket, which opens on ``async with`` or ``await``.

        Args:
            actor: a handle.
            path: what the actor sees; it may have a query.
        """
        binding = self._binding(actor)
        subpath = websocket_path(quoted(path))

        async def attempt() -> Socket:
            params = await plain_params(binding.definition, binding.params)
            return await self._transport.open_socket(SocketRequest(binding.target, subpath, params))

        return WebSocketOpening(lambda: self._retry(attempt, binding.target))

    async def resolve(self, actor: object) -> str:
        """Return an actor's id; creates the actor if the handle does.

        Args:
            actor: a handle.

        Raises:
            ActorError: ``actor.not_found``.
        """
        target = self._binding(actor).target
        if isinstance(target, ById):
            return target.actor_id
        return await self._locate(Location(target))

    def dead_letters(self, actor: object) -> LetterBox:
        """Return the dead letters of an actor: what it was to do and could not.

        Over HTTP they are an administrator's, who gives ``token``.

        Args:
            actor: a handle; the actor is not created.
        """
        return LetterBox(self._binding(actor).target, self._transport, self._retry)

    # -- the end --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close all connections and the transport; without effect when repeated."""
        self._closed = True
        for connection in list(self._connections):
            await connection.close()
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # -- inside ---------------------------------------------------------------------------------

    def _handle(
        self,
        target: Target,
        definition: ActorDefinition | None,
        params: Params,
        idempotency_key: str | None = None,
    ) -> Handle:
        async def invoke(action: str, args: list[object]) -> object:
            return await self._call(binding, action, args)

        binding = Binding(self, target, definition, invoke, params, idempotency_key)
        return Handle(binding)

    async def _call(self, binding: Binding, action: str, args: list[object]) -> object:
        self._check_open()
        params = await plain_params(binding.definition, binding.params)
        call = ActionCall(binding.target, action, args, params, self._first_key(binding))

        async def attempt() -> object:
            nonlocal call
            tried = call
            call = keyed(call, self._rng)
            return await self._transport.call(tried)

        if action == "destroy":
            # What an actor of that name answers after it is gone would make a new one.
            return await self._retry(attempt, None, once=True)
        return await self._retry(attempt, call.target, keyed=call.idempotency_key is not None)

    async def _enqueue(
        self,
        actor: object,
        queue: Queue[Any, Any] | str,
        body: Any,
        *,
        wait: bool,
        timeout: float | None,
    ) -> Any:
        binding = self._binding(actor)
        declared = queue_of(binding.definition, queue)
        if declared is not None:
            body = declared.encode(body)
        name = declared.name if declared is not None else str(queue)
        params = await plain_params(binding.definition, binding.params)
        key = self._first_key(binding)
        send = QueueSend(binding.target, name, body, wait, timeout, params, key)

        async def attempt() -> Any:
            nonlocal send
            tried = send
            send = keyed(send, self._rng)
            reply = await self._transport.enqueue(tried)
            if reply.status == "timedOut":
                raise ActorError(
                    "queue",
                    "timed_out",
                    f"The message was not completed within {timeout} s; it stays queued.",
                )
            if not wait or declared is None or not declared.completable:
                return reply.response
            return declared.reply.validate(reply.response)

        return await self._retry(attempt, send.target, queue=True, keyed=key is not None)

    async def _locate(self, location: Location) -> str:
        locate = self._transport.locate
        return await self._retry(lambda: locate(location), None, once=location.exclusive)

    def _first_key(self, binding: Binding) -> str | None:
        if binding.idempotency_key is None and self._retries.idempotent:
            return fresh_key(self._rng)
        return binding.idempotency_key

    async def _retry(
        self,
        attempt: Callable[[], Awaitable[ResultT]],
        target: Target | None,
        *,
        queue: bool = False,
        keyed: bool = False,
        once: bool = False,
    ) -> ResultT:
        return await retrying(
            attempt, target, self._retries, self._clock, queue=queue, keyed=keyed, once=once
        )

    def _binding(self, actor: object) -> Binding:
        self._check_open()
        return binding_of(actor)

    def _check_open(self) -> None:
        if self._closed:
            raise failures.closed("client")
