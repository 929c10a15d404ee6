"""Where a request comes from, as the runtime wants to know it; and which actor it is for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless.actor.turn import RequestInfo
from rivetless.clock import Clock
from rivetless.errors import invalid_request, make
from rivetless.gateway.asgi import Exchange
from rivetless.keys import Address
from rivetless.protocol import headers as names
from rivetless.protocol import targets
from rivetless.protocol.headers import parse_conn_params_header
from rivetless.runtime.commands import ById, ByKey, Origin, Target

if TYPE_CHECKING:
    from rivetless.registry import Registry

__all__ = [
    "CallVerifier",
    "actor_url",
    "address_of",
    "http_origin",
    "request_info",
    "seen_headers",
    "target_of",
]

_PARAMS: Final = names.CONN_PARAMS.encode()
_ORIGINAL_URL: Final = names.ORIGINAL_REQUEST_URL.encode()
_CONSUMED: Final = frozenset({_PARAMS, _ORIGINAL_URL, b"x-rivetless-signature"})
_MAX_CHAIN: Final = 32


def target_of(registry: Registry, request: targets.GatewayRequest) -> Target:
    """Return the target of a gateway request as the runtime wants it.

    Raises:
        ActorError: ``actor.not_registered``, or ``actor.invalid_request`` for an impossible
            address.
    """
    target = request.target
    if isinstance(target, targets.ById):
        return ById(request.namespace, target.actor_id)
    address = request.address
    if address is None or address.name not in registry.definitions:
        namespace = request.namespace or "default"
        address = address_of(registry, namespace, target.name, target.key)
    return ByKey(address, target.create, target.input)


def address_of(registry: Registry, namespace: str, name: str, key: tuple[str, ...]) -> Address:
    """Return an address, with the actor's wire name whichever of its names was given.

    Raises:
        ActorError: ``actor.not_registered``, or ``actor.invalid_request`` for an impossible
            address.
    """
    definition = registry.find(name)
    if definition is None:
        raise make("actor.not_registered", name=name[:64])
    return Address(namespace, definition.name, key)


def actor_url(path: str, query: str) -> str:
    """Return the URL that an actor sees: its own path, on no host in particular."""
    return f"http://127.0.0.1{path}?{query}" if query else f"http://127.0.0.1{path}"


def request_info(exchange: Exchange, method: str, url: str, body: bytes = b"") -> RequestInfo:
    """Return a request as the actor sees it."""
    return RequestInfo(method, url, seen_headers(exchange.scope["headers"]), body)


def seen_headers(given: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that an actor sees, of those that a client sent."""
    return tuple([pair for pair in given if pair[0] not in _CONSUMED])


class CallVerifier:
    """Says which calls really come from another actor.

    A call key and a chain have power: they name a stored answer and pass through leases. So they
    are believed only with a signature of the deployment's secret, and ignored without.

    Args:
        clock: tells which signatures have expired.

    Attributes:
        secret: shared by the processes of the deployment; None believes nobody.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.secret: bytes | None = None

    def read(self, exchange: Exchange) -> tuple[str | None, tuple[str, ...]]:
        """Return call key and chain of a request, if they can be believed."""
        token = exchange.header(b"x-rivetless-signature")
        if token is None or self.secret is None:
            return None, ()
        from rivetless.protocol.json_codec import json_loads
        from rivetless.protocol.signatures import CALL_TTL, call_parts, verify

        key = exchange.header(b"x-rivetless-call-key") or ""
        chain = exchange.header(b"x-rivetless-chain") or ""
        target = f"{exchange.path}?{exchange.query}" if exchange.query else exchange.path
        parts = call_parts(exchange.method, target, key, chain)
        now = self._clock.now()
        if verify(self.secret, token, "call", parts, now=now, max_ttl=CALL_TTL) is None:
            return None, ()
        links: Any = json_loads(chain.encode("latin-1")) if chain else []
        if not isinstance(links, list) or len(cast("list[object]", links)) > _MAX_CHAIN:
            raise invalid_request("`x-rivetless-chain` is not a list of at most 32 actors.")
        return f"a:{key}" if key else None, tuple(map(str, cast("list[object]", links)))


def http_origin(exchange: Exchange, request: RequestInfo, calls: CallVerifier) -> Origin:
    """Return the origin of a stateless call.

    Raises:
        ActorError: ``actor.invalid_request`` for connection parameters or keys that cannot be read.
    """
    call_key: str | None = None
    chain: tuple[str, ...] = ()
    headers = exchange.headers
    if b"x-rivetless-signature" in headers:
        call_key, chain = calls.read(exchange)
    given = headers.get(b"idempotency-key")
    if given is not None and call_key is None:
        call_key = names.idempotency_key(given.decode("latin-1"))
    params = None
    if _PARAMS in headers:
        params = parse_conn_params_header(exchange.header(_PARAMS))
    return Origin(
        request=request, params=params, call_key=call_key, chain=chain, ray_id=exchange.ray_id
    )


def original_url(exchange: Exchange) -> str | None:
    """Return the URL that the client's ``fetch`` was really given, if it says so."""
    return exchange.header(_ORIGINAL_URL)
