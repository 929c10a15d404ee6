"""What travels beside the messages: headers, connection parameters, subprotocols, close reasons.

Header values are text as ASGI gives it: each byte one character (Latin-1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from pydantic_core import to_jsonable_python

from rivetless.errors import ActorError, invalid_request, make
from rivetless.frozen import frozen
from rivetless.protocol.codec import EncodingName
from rivetless.protocol.json_codec import json_loads
from rivetless.protocol.percent import decode as percent_decode
from rivetless.protocol.percent import encode_component

__all__ = [
    "ACTOR",
    "ACTOR_GENERATION",
    "ACTOR_KEY",
    "CONN_PARAMS",
    "ENCODING",
    "ERROR",
    "MAX_CONN_PARAMS_BYTES",
    "ORIGINAL_REQUEST_URL",
    "RAY_ID",
    "SKIP_READY_WAIT",
    "SUBPROTOCOL",
    "TARGET",
    "TOKEN",
    "CloseReason",
    "Subprotocols",
    "close_code",
    "close_reason",
    "conn_params_header",
    "idempotency_key",
    "parse_close_reason",
    "parse_conn_params_header",
    "parse_subprotocols",
    "subprotocols",
]

ACTOR: Final = "x-rivet-actor"
ACTOR_GENERATION: Final = "x-rivet-actor-generation"
ACTOR_KEY: Final = "x-rivet-actor-key"
CONN_PARAMS: Final = "x-rivet-conn-params"
ENCODING: Final = "x-rivet-encoding"
ERROR: Final = "x-rivet-error"
ORIGINAL_REQUEST_URL: Final = "x-rivet-internal-original-request-url"
RAY_ID: Final = "x-rivet-ray-id"
SKIP_READY_WAIT: Final = "x-rivet-skip-ready-wait"
TARGET: Final = "x-rivet-target"
TOKEN: Final = "x-rivet-token"

SUBPROTOCOL: Final = "rivet"
"""The one subprotocol that a server answers; browsers fail the connection without it."""

MAX_CONN_PARAMS_BYTES: Final = 4096
MAX_IDEMPOTENCY_KEY: Final = 256

_ENCODINGS: Final[dict[str, EncodingName]] = {"json": "json", "cbor": "cbor", "bare": "bare"}
_P_ENCODING: Final = "rivet_encoding."
_P_TARGET: Final = "rivet_target."
_P_ACTOR: Final = "rivet_actor."
_P_TOKEN: Final = "rivet_token."
_P_SKIP_READY_WAIT: Final = "rivet_skip_ready_wait"
_P_CONN_PARAMS: Final = "rivet_conn_params."


def idempotency_key(text: str) -> str:
    """Return the call key that a client's idempotency key stands for.

    Raises:
        ActorError: ``actor.invalid_request`` for one that cannot be a header.
    """
    if not 0 < len(text) <= MAX_IDEMPOTENCY_KEY or not text.isascii() or not text.isprintable():
        raise invalid_request(
            f"An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters."
        )
    return f"i:{text}"


# -- connection parameters -----------------------------------------------------------------------


def parse_conn_params_header(value: str | None) -> object:
    """Return the connection parameters in an ``x-rivet-conn-params`` header; None without one.

    They are JSON in UTF-8. The official client sends characters up to U+00FF as single bytes, so
    what is no UTF-8 is taken for that.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if value is None:
        return None
    try:
        data = value.encode("latin-1")
    except UnicodeEncodeError:
        data = value.encode(errors="replace")
    try:
        data.decode()
    except UnicodeDecodeError:
        data = value.encode()
    return _params(data)


def conn_params_header(params: object) -> str:
    """Return connection parameters as the value of an ``x-rivet-conn-params`` header.

    It is pure ASCII, since RivetKit's own server ignores the header if it is not.

    Raises:
        TypeError: the parameters have no form in JSON.
        ActorError: ``actor.invalid_request``: they are too long.
    """
    text = _params_json(params)
    _check_params_size(len(text))
    return text


def _params(data: bytes) -> object:
    _check_params_size(len(data))
    try:
        # Parameters are JSON without tags.
        return json_loads(data, tags="off")
    except ActorError as error:
        raise invalid_request(f"Connection parameters: {error.message}") from None


def _params_json(params: object) -> str:
    try:
        jsonable = to_jsonable_python(params, inf_nan_mode="null")
    except ValueError as error:
        raise TypeError(f"Connection parameters cannot be sent: {error}") from error
    return json.dumps(jsonable, separators=(",", ":"))


def _check_params_size(size: int) -> None:
    if size > MAX_CONN_PARAMS_BYTES:
        limit = MAX_CONN_PARAMS_BYTES
        metadata = {"limit": limit, "size": size}
        raise invalid_request(
            f"Connection parameters too large ({size} bytes). Limit is {limit} bytes.", metadata
        )


# -- subprotocols --------------------------------------------------------------------------------


@frozen
class Subprotocols:
    """What a client says in the subprotocols it offers; browsers let it say nothing else.

    Attributes:
        encoding: of frames.
        params: connection parameters, or None.
        target: ``"actor"`` if the socket is routed by these tokens and not by its path.
        actor: id of that actor.
        token: for the gateway.
        skip_ready_wait: the client does not want to wait for a starting actor.
        offers_rivet: the offer holds ``rivet``, which the server answers.
    """

    encoding: EncodingName = "json"
    params: object = None
    target: str | None = None
    actor: str | None = None
    token: str | None = None
    skip_ready_wait: bool = False
    offers_rivet: bool = False


def parse_subprotocols(offer: str | Iterable[str]) -> Subprotocols:
    """Return what a client's offer of subprotocols says.

    The socket must be accepted whatever the offer is; an error becomes its close reason.

    Args:
        offer: value of ``Sec-WebSocket-Protocol``, or its items.

    Raises:
        ActorError: ``actor.unsupported_websocket_encoding``, or ``actor.invalid_request`` for
            connection parameters that cannot be read.
    """
    tokens = [token.strip() for token in (offer.split(",") if isinstance(offer, str) else offer)]
    params = _first(tokens, _P_CONN_PARAMS)
    return Subprotocols(
        encoding=_encoding(_first(tokens, _P_ENCODING)),
        params=None if params is None else _params(_percent_params(params)),
        target=_first(tokens, _P_TARGET),
        actor=_first(tokens, _P_ACTOR),
        token=_first(tokens, _P_TOKEN),
        skip_ready_wait=_P_SKIP_READY_WAIT in tokens,
        offers_rivet=SUBPROTOCOL in tokens,
    )


def subprotocols(
    encoding: EncodingName,
    params: object = None,
    *,
    actor_id: str | None = None,
    token: str | None = None,
    skip_ready_wait: bool = False,
) -> list[str]:
    """Return the subprotocols that a client offers, in the official client's order.

    Args:
        encoding: of frames; raw sockets always say ``"bare"``.
        params: connection parameters.
        actor_id: routes the socket to this actor, whatever its path.
        token: for the gateway; said only together with ``actor_id``.
        skip_ready_wait: do not wait for a starting actor.

    Raises:
        TypeError: the parameters have no form in JSON.
        ActorError: ``actor.invalid_request``: they are too long.
    """
    tokens = [SUBPROTOCOL, _P_ENCODING + encoding]
    if actor_id is not None:
        tokens += [_P_TARGET + "actor", _P_ACTOR + actor_id]
        if token is not None:
            tokens.append(_P_TOKEN + token)
    if skip_ready_wait:
        tokens.append(_P_SKIP_READY_WAIT)
    if params is not None:
        tokens.append(_P_CONN_PARAMS + encode_component(conn_params_header(params)))
    return tokens


def _first(tokens: list[str], prefix: str) -> str | None:
    for token in tokens:
        if token.startswith(prefix):
            return token[len(prefix) :]
    return None


def _encoding(name: str | None) -> EncodingName:
    if name is None:
        return "json"
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        raise make("actor.unsupported_websocket_encoding", encoding=name[:32])
    return encoding


def _percent_params(token: str) -> bytes:
    try:
        return percent_decode(token)
    except ValueError as error:
        raise invalid_request(f"Connection parameters: {error}") from None


# -- close reasons -------------------------------------------------------------------------------


class CloseReason(NamedTuple):
    """What the reason of a closed socket says.

    Attributes:
        group: as ``ActorError``.
        code: as ``ActorError``.
        ray_id: trace id, or None.
    """

    group: str
    code: str
    ray_id: str | None


_MAX_REASON_BYTES: Final = 123
_CLOSE_CODES: Final = {
    "actor.unsupported_websocket_encoding": 1003,
    "message.invalid_utf8": 1007,
    "ws.connection_closed": 1000,
    "ws.eviction": 1000,
    "actor.stopped": 1000,
}


def close_code(error: ActorError) -> int:
    """Return the code with which a socket is closed for an error."""
    return _CLOSE_CODES.get(error.name, 1011)


def close_reason(error: ActorError, ray_id: str | None = None) -> str:
    """Return the reason with which a socket is closed for an error: ``group.code#ray``."""
    reason = error.name if ray_id is None else f"{error.name}#{ray_id}"
    data = reason.encode(errors="replace")
    return data[:_MAX_REASON_BYTES].decode(errors="ignore")


def parse_close_reason(reason: str) -> CloseReason | None:
    """Return what a close reason says; None if it is none of ours."""
    name, *ray_ids = reason.split("#")
    group, code, *_ = [*name.split("."), ""]
    if not group or not code:
        return None
    return CloseReason(group, code, (ray_ids[0] or None) if ray_ids else None)
