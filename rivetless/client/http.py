"""``HTTPTransport``: calls over HTTP and WebSockets, to any Rivet server."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

from rivetless.actor.dead_letters import DeadLetter
from rivetless.client import failures
from rivetless.client.calls import (
    ActionCall,
    ById,
    ByKey,
    FetchRequest,
    FetchResponse,
    LetterQuery,
    LetterReplay,
    LettersPurge,
    Location,
    QueueReply,
    QueueSend,
    SocketRequest,
    Target,
)
from rivetless.client.endpoint import Endpoint, find_endpoint
from rivetless.client.letters import read_count, read_letters
from rivetless.client.network import Network
from rivetless.client.retry import RetryPolicy
from rivetless.client.sockets import Socket
from rivetless.clock import Clock, SystemClock
from rivetless.errors import ActorError, not_found
from rivetless.keys import serialise
from rivetless.protocol import cbor, headers, messages, routes, targets
from rivetless.protocol.codec import JSON, EncodingName, codec_for

if TYPE_CHECKING:
    import httpx

__all__ = ["HTTPTransport"]

BodyT = TypeVar("BodyT", bound=messages.HttpBody)

_NEVER_CONFIGURED: Final = ("traceparent", "tracestate")
"""A configured trace context would make every call part of one span."""

_WITHOUT_METADATA: Final = (404, 405, 501)
_BUSY: Final = (429, 500, 502, 503, 504)


class HTTPTransport:
    """Talks to a server. Arguments as ``Client``.

    Args:
        endpoint: the server.
        token: credential.
        namespace: whose actors.
        pool: who may run new actors.
        encoding: how calls are written.
        headers: added to every HTTP request.
        timeout: seconds to wait for one answer.
        metadata_lookup: ask the server first whether clients should go elsewhere. Asked before the
            first call and only once, if it worked. An answer of 404 counts as "no"; a server that
            cannot be reached fails the call that wanted to know, after the usual tries, and the
            next call asks again. (The official client asks for ever, and its calls wait.)
        clock: measures the time-out.
        http: an httpx client to use, e.g. one with an ASGI transport; the caller closes it.
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
        clock: Clock | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._endpoint = find_endpoint(endpoint, namespace=namespace, token=token, pool=pool)
        self._is_final = not metadata_lookup
        self._lookup: asyncio.Task[Endpoint] | None = None
        self._codec = codec_for(encoding)
        self._headers = dict(headers or {})
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._network = Network(clock or SystemClock(), timeout=seconds, http=http)

    @property
    def encoding(self) -> EncodingName:
        """How calls and frames are written."""
        return self._codec.name

    @property
    def retries(self) -> RetryPolicy:
        """The official client's rules."""
        return RetryPolicy()

    # -- actors ---------------------------------------------------------------------------------

    async def call(self, call: ActionCall, /) -> object:
        """Run an action: ``POST {gateway}/action/{name}``."""
        body = messages.HttpActionRequest(list(call.args))
        path = routes.action_path(call.action)
        response = await self._post(call, path, body)
        return self._read(response, messages.HttpActionResponse).output

    async def enqueue(self, send: QueueSend, /) -> QueueReply:
        """Send a message to a queue: ``POST {gateway}/queue/{name}``."""
        timeout = None if send.timeout is None else max(0, round(send.timeout * 1000))
        body = messages.HttpQueueSendRequest(send.body, send.queue, send.wait, timeout)
        response = await self._post(send, routes.queue_path(send.queue), body)
        reply = self._read(response, messages.HttpQueueSendResponse)
        return QueueReply(reply.status, reply.response)

    async def fetch(self, request: FetchRequest, /) -> FetchResponse:
        """Make a request: ``{gateway}/request/{path}``."""
        endpoint = await self._find()
        path, _, query = request.path.partition("?")
        url = await self._gateway(endpoint, request.target, routes.request_path(path), query)
        fields = [
            *request.headers,
            *self._actor_headers(endpoint, request.params, {name for name, _ in request.headers}),
        ]
        return await self._network.request(request.method, url, fields, request.body)

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Open a WebSocket: ``{gateway}/connect`` or ``{gateway}/websocket/{path}``."""
        endpoint = await self._find()
        path, _, query = request.path.partition("?")
        url = await self._gateway(endpoint, request.target, path, query)
        encoding = self._codec.name if path == "/connect" else "bare"
        offer = headers.subprotocols(encoding, request.params)
        return await self._network.open_socket("ws" + url.removeprefix("http"), offer)

    async def locate(self, location: Location, /) -> str:
        """Find or create an actor by the management API."""
        endpoint = await self._find()
        target = location.target
        if location.exclusive:
            return _actor_id(await self._create(endpoint, "POST", target))
        if target.create:
            return await self._get_or_create(endpoint, target)
        return await self._get(endpoint, target)

    async def letters(self, query: LetterQuery, /) -> list[DeadLetter]:
        """List dead letters by the management API."""
        fields = {"limit": str(query.limit)}
        if query.kind is not None:
            fields["kind"] = query.kind
        answer = await self._letters(query.target, "GET", "", fields)
        return read_letters(answer)

    async def replay_letter(self, replay: LetterReplay, /) -> bool:
        """Put a dead letter back by the management API."""
        where = f"/{quote(replay.letter_id, safe='')}/replay"
        return read_count(await self._letters(replay.target, "POST", where), "replayed") > 0

    async def purge_letters(self, purge: LettersPurge, /) -> int:
        """Throw dead letters away by the management API."""
        where = "" if purge.letter_id is None else f"/{quote(purge.letter_id, safe='')}"
        return read_count(await self._letters(purge.target, "DELETE", where), "purged")

    async def _letters(
        self, target: Target, method: str, where: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        endpoint = await self._find()
        actor_id = (
            target.actor_id if isinstance(target, ById) else await self._get(endpoint, target)
        )
        path = f"/actors/{quote(actor_id, safe='')}/dead-letters{where}"
        return await self._manage(endpoint, method, query or {}, path=path)

    async def aclose(self) -> None:
        """Close idle connections."""
        if self._lookup is not None:
            self._lookup.cancel()
        await self._network.aclose()

    # -- the gateway ----------------------------------------------------------------------------

    async def _post(
        self, call: ActionCall | QueueSend, path: str, body: messages.HttpBody
    ) -> FetchResponse:
        data = self._codec.encode(body)
        endpoint = await self._find()
        url = await self._gateway(endpoint, call.target, path)
        fields = {
            **dict(self._actor_headers(endpoint, call.params)),
            headers.ENCODING: self._codec.name,
            "content-type": self._codec.content_type,
        }
        if call.idempotency_key is not None:
            fields["idempotency-key"] = call.idempotency_key
        return await self._network.request("POST", url, fields, data)

    def _actor_headers(
        self, endpoint: Endpoint, params: object, given: Collection[str] = ()
    ) -> list[tuple[str, str]]:
        """Return what goes with every gateway request."""
        fields = [
            (name, value)
            for name, value in self._headers.items()
            if name.lower() not in _NEVER_CONFIGURED and name.lower() not in given
        ]
        if endpoint.token is not None:
            fields.append((headers.TOKEN, endpoint.token))
        if params is not None:
            fields.append((headers.CONN_PARAMS, headers.conn_params_header(params)))
        return fields

    async def _gateway(
        self, endpoint: Endpoint, target: Target, subpath: str, query: str = ""
    ) -> str:
        if isinstance(target, ByKey) and target.create and target.pool is None:
            target = replace(target, pool=endpoint.pool)
        request = targets.GatewayRequest(target, subpath, query, endpoint.namespace, endpoint.token)
        try:
            url = targets.gateway_url(request)
        except ActorError as error:
            if error.name != "actor.input_too_large" or not isinstance(target, ByKey):
                raise
            # The management API takes it in a body; the call then goes to the life that this names.
            actor_id = await self._get_or_create(endpoint, target)
            url = targets.gateway_url(replace(request, target=ById(actor_id)))
        path, _, query = url.partition("?")
        return endpoint.http(path, query)

    def _read(self, response: FetchResponse, kind: type[BodyT]) -> BodyT:
        """Return the body of a kind.

        Raises:
            ActorError: the answer's own error, or ``client.invalid_response``.
        """
        if not response.ok:
            raise self._error(response)
        try:
            return self._codec.decode(kind, response.body).message
        except ActorError as error:
            raise failures.invalid_response(response.status, response.text) from error

    def _error(self, response: FetchResponse) -> ActorError:
        is_json = "application/json" in (response.header("content-type") or "")
        codec = JSON if is_json else self._codec
        try:
            error = codec.decode(messages.HttpError, response.body).message.to_error()
        except ActorError:
            error = failures.invalid_response(response.status, response.text)
        ray_id = response.header(headers.RAY_ID)
        if ray_id:
            error.add_note(f"ray id: {ray_id}")
        return error

    # -- management -----------------------------------------------------------------------------

    async def _get(self, endpoint: Endpoint, target: ByKey) -> str:
        query = {"name": target.name, "key": serialise(target.key)}
        found = await self._manage(endpoint, "GET", query)
        actors: Any = found.get("actors")
        if not actors:
            raise not_found()
        return _actor_id({"actor": actors[0]})

    async def _get_or_create(self, endpoint: Endpoint, target: ByKey) -> str:
        try:
            return _actor_id(await self._create(endpoint, "PUT", target))
        except ActorError as error:
            if error.name != "actor.key_reserved_in_different_datacenter":
                raise
        return await self._get(endpoint, target)

    async def _create(self, endpoint: Endpoint, method: str, target: ByKey) -> dict[str, Any]:
        body: dict[str, object] = {} if target.region is None else {"datacenter": target.region}
        body |= {
            "name": target.name,
            "key": serialise(target.key),
            "runner_name_selector": target.pool or endpoint.pool,
            "crash_policy": "sleep",
        }
        if target.input is not None:
            body["input"] = b64encode(cbor.dumps(target.input)).decode()
        return await self._manage(endpoint, method, {}, body)

    async def _manage(
        self,
        endpoint: Endpoint,
        method: str,
        query: Mapping[str, str],
        body: Mapping[str, object] | None = None,
        path: str = "/actors",
    ) -> dict[str, Any]:
        url = endpoint.http(path, urlencode({**query, "namespace": endpoint.namespace}))
        data = b"" if body is None else json.dumps(body).encode()
        fields = self._management_headers(endpoint)
        if body is not None:
            fields["content-type"] = "application/json"
        response = await self._network.request(method, url, fields, data)
        if not response.ok:
            raise self._error(response)
        return _json_object(response)

    def _management_headers(self, endpoint: Endpoint) -> dict[str, str]:
        fields = dict(self._headers)
        if endpoint.token is not None:
            fields["authorization"] = f"Bearer {endpoint.token}"
        return fields

    # -- metadata -------------------------------------------------------------------------------

    async def _find(self) -> Endpoint:
        """Return where calls go, asking the server before the first one."""
        if self._is_final:
            return self._endpoint
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.get_running_loop().create_task(self._look_up())
            # Its waiters may have been cancelled; then nobody else asks what became of it.
            self._lookup.add_done_callback(lambda task: task.cancelled() or task.exception())
        lookup = self._lookup
        try:
            return await asyncio.shield(lookup)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if lookup.cancelled() and not (task and task.cancelling()):
                raise failures.closed("client") from None
            raise

    async def _look_up(self) -> Endpoint:
        endpoint = self._endpoint
        url = endpoint.http("/metadata", urlencode({"namespace": endpoint.namespace}))
        response = await self._network.request("GET", url, self._management_headers(endpoint), b"")
        if response.ok:
            self._endpoint = _redirected(endpoint, _json_object(response))
        elif response.status in _BUSY:
            raise failures.connection_failed(endpoint.url, f"/metadata gave {response.status}")
        elif response.status not in _WITHOUT_METADATA:
            raise self._error(response)
        self._is_final = True
        return self._endpoint


def _redirected(endpoint: Endpoint, metadata: Mapping[str, Any]) -> Endpoint:
    url = metadata.get("clientEndpoint")
    if not isinstance(url, str):
        return endpoint
    namespace, token = metadata.get("clientNamespace"), metadata.get("clientToken")
    try:
        return endpoint.redirected(
            url,
            namespace if isinstance(namespace, str) else None,
            token if isinstance(token, str) else None,
        )
    except ValueError as error:
        raise ActorError(
            "client", "invalid_response", f"The server's `clientEndpoint` is unusable. {error}"
        ) from error


def _json_object(response: FetchResponse) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError as error:
        raise failures.invalid_response(response.status, response.text) from error
    if not isinstance(value, dict):
        raise failures.invalid_response(response.status, response.text)
    return cast("dict[str, Any]", value)


def _actor_id(answer: Mapping[str, Any]) -> str:
    try:
        actor_id: Any = answer["actor"]["actor_id"]
    except (LookupError, TypeError):
        actor_id = None
    if not isinstance(actor_id, str):
        raise failures.invalid_response(200, str(answer))
    return actor_id
