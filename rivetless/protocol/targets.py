"""Targets: which actor a request is for, in the three forms that a gateway takes.

The actor's id is in the path, or its name, with the rest in ``rvt-`` parameters of the query, or it
is in headers. Paths and query strings are still percent-encoded, as text in which each byte is one
character (Latin-1). The part of a path under which an application is mounted is taken off before.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeAlias

from rivetless.errors import ActorError, invalid_request, make
from rivetless.frozen import frozen
from rivetless.keys import EMPTY_KEY, Address, Key, from_query
from rivetless.protocol import cbor, headers, percent
from rivetless.protocol.headers import Subprotocols

__all__ = [
    "MAX_INPUT_BYTES",
    "MAX_URL_INPUT_BYTES",
    "ById",
    "ByKey",
    "GatewayRequest",
    "Target",
    "gateway_url",
    "parse_gateway",
    "parse_header_target",
    "parse_socket_target",
]

MAX_INPUT_BYTES: Final = 4 * 1024 * 1024
"""How long an actor's input may be, in CBOR."""

MAX_URL_INPUT_BYTES: Final = 4096
"""How long a client lets it be within a URL."""


@frozen
class ById:
    """A life of an actor.

    Attributes:
        actor_id: its id, unchecked.
    """

    actor_id: str


@frozen
class ByKey:
    """The actor that has a key.

    Attributes:
        name: of the actor class, on the wire.
        key: of the actor.
        create: make the actor if there is none.
        input: plain value for the creation; None for none.
        region: where to make it; of no effect here.
        pool: who makes it; of no effect here.
    """

    name: str
    key: Key = EMPTY_KEY
    create: bool = False
    input: object = None
    region: str | None = None
    pool: str | None = None


Target: TypeAlias = ById | ByKey


@frozen
class GatewayRequest:
    """What a request for an actor says, whatever its form.

    Attributes:
        target: which actor.
        subpath: what of it; begins with ``/``, still percent-encoded.
        query: the user's own query string, byte for byte, without ``?``.
        namespace: where; None for ids, which say it themselves.
        token: for the gateway.
        skip_ready_wait: the client does not want to wait for a starting actor.
    """

    target: Target
    subpath: str = "/"
    query: str = ""
    namespace: str | None = None
    token: str | None = None
    skip_ready_wait: bool = False

    @property
    def address(self) -> Address | None:
        """The actor's address; None for ids.

        Raises:
            ActorError: ``actor.invalid_request`` or ``actor.key_too_large``.
        """
        if self.namespace is None or isinstance(self.target, ById):
            return None
        return _address(self.namespace, self.target.name, self.target.key)


_GATEWAY: Final = "/gateway/"
_PREFIX: Final = "rvt-"
_METHODS: Final = {"get": False, "getOrCreate": True}
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_CRASH_POLICIES: Final = ("sleep", "restart", "destroy")
_ONLY_CREATE: Final = ("runner", "pool", "input", "region", "crash-policy")
_NAMES: Final = frozenset({"namespace", "method", "key", "token", "skip-ready-wait", *_ONLY_CREATE})
_MAX_CACHED: Final = 512
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


def parse_gateway(raw_path: str, query_string: str = "") -> GatewayRequest | None:
    """Return what a URL of the gateway says, in its direct or its query form; None for other URLs.

    Args:
        raw_path: the request's path.
        query_string: its query, without ``?``.

    Raises:
        ActorError: one of ``guard.query_*``, ``actor.input_too_large``, ``actor.key_too_large`` or
            ``actor.invalid_request``.
    """
    if not raw_path.startswith(_GATEWAY) or "//" in raw_path:
        return None
    # The same few URLs are asked for again and again. An input is made anew, since whoever gets it
    # may change it.
    if len(raw_path) + len(query_string) <= _MAX_CACHED:
        request = _parse_cached(raw_path, query_string)
        if request is None or isinstance(request.target, ById) or request.target.input is None:
            return request
    return _parse(raw_path, query_string)


def _parse(raw_path: str, query_string: str) -> GatewayRequest | None:
    segment, _, rest = raw_path[len(_GATEWAY) :].partition("/")
    subpath = "/" + rest
    if _PREFIX in query_string or "%" in query_string:
        query, parameters = _split_query(query_string)
        if parameters:
            return _query_form(segment, subpath, query, parameters)
    if not segment:
        return None
    actor_id, _, token = segment.partition("@")
    if not actor_id:
        return None
    return GatewayRequest(
        ById(_decode_segment(actor_id)),
        subpath,
        query_string,
        token=_decode_segment(token) or None,
    )


_parse_cached = lru_cache(maxsize=4096)(_parse)
_address = lru_cache(maxsize=4096)(Address)


def _split_query(query_string: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the user's part of a query as it is, and the gateway's as (name, raw value)."""
    kept: list[str] = []
    parameters: list[tuple[str, str]] = []
    for pair in query_string.split("&"):
        raw_name, _, raw_value = pair.partition("=")
        name = raw_name
        if "%" in raw_name:
            with suppress(ValueError):  # whatever it is then, it is the user's
                name = percent.decode_form(raw_name)
        if name.startswith(_PREFIX):
            parameters.append((name[len(_PREFIX) :], raw_value))
        else:
            kept.append(pair)
    return "&".join(kept), parameters


def _query_form(
    segment: str, subpath: str, query: str, parameters: list[tuple[str, str]]
) -> GatewayRequest:
    if "@" in segment:
        raise _refused(
            "path_token_syntax", "A token goes into `rvt-token`, not behind the actor's name."
        )
    if not segment:
        raise _refused("empty_actor_name", "The path holds no actor name.")
    name = _form_value(segment, "the actor name", plus=False)
    values: dict[str, str] = {}
    for parameter, raw in parameters:
        if parameter not in _NAMES:
            raise _invalid(f"Unknown parameter `rvt-{parameter[:32]}`.")
        if parameter in values:
            raise _refused("duplicate_param", f"`rvt-{parameter}` is given twice.")
        values[parameter] = _form_value(raw, f"`rvt-{parameter}`")
    namespace = values.get("namespace")
    if not namespace:
        raise _invalid("`rvt-namespace` is missing.")
    create = _METHODS.get(values.get("method", ""))
    if create is None:
        raise _invalid("`rvt-method` is not `get` or `getOrCreate`.")
    target = _by_key(name, values) if create else _by_key_only(name, values)
    skip = _FLAGS.get(values.get("skip-ready-wait", "false"))
    if skip is None:
        raise _invalid("`rvt-skip-ready-wait` is not `true` or `false`.")
    _address(namespace, name, target.key)  # refuses what is too long
    return GatewayRequest(target, subpath, query, namespace, values.get("token") or None, skip)


def _by_key_only(name: str, values: dict[str, str]) -> ByKey:
    for parameter in _ONLY_CREATE:
        if parameter in values:
            raise _refused(
                "get_disallowed_params", f"`rvt-{parameter}` has no use with `rvt-method=get`."
            )
    return ByKey(name, from_query(values.get("key")))


def _by_key(name: str, values: dict[str, str]) -> ByKey:
    pool = values.get("pool") or values.get("runner")
    if not pool:
        raise _refused("missing_pool", "`rvt-method=getOrCreate` needs `rvt-pool` or `rvt-runner`.")
    policy = values.get("crash-policy", "sleep")
    if policy not in _CRASH_POLICIES:
        raise _invalid(f"`rvt-crash-policy` is not one of {', '.join(_CRASH_POLICIES)}.")
    text = values.get("input")
    return ByKey(
        name,
        from_query(values.get("key")),
        create=True,
        input=None if text is None else _input(text),
        region=values.get("region") or None,
        pool=pool,
    )


def _input(text: str) -> object:
    text = text.rstrip("=")
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise _refused("invalid_base64_input", "`rvt-input` is not base64url.")
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(data) > MAX_INPUT_BYTES:
        raise make("actor.input_too_large", {"limit": MAX_INPUT_BYTES, "size": len(data)})
    try:
        return cbor.loads(data)
    except ActorError as error:
        raise _refused("invalid_cbor_input", f"`rvt-input`: {error.message}") from None


def _form_value(raw: str, what: str, *, plus: bool = True) -> str:
    if raw.isalnum() and raw.isascii():
        return raw
    try:
        return percent.decode_form(raw) if plus else percent.decode_text(raw)
    except ValueError as error:
        raise _refused("invalid_percent_encoding", f"{what} cannot be decoded. {error}") from None


def _decode_segment(raw: str) -> str:
    try:
        return percent.decode_text(raw)
    except ValueError as error:
        raise invalid_request(f"The path cannot be decoded. {error}") from None


def _refused(code: str, message: str) -> ActorError:
    return ActorError("guard", f"query_{code}", message)


def _invalid(message: str) -> ActorError:
    return _refused("invalid_params", message)


def parse_header_target(
    request_headers: Mapping[str, str], raw_path: str, query_string: str = ""
) -> GatewayRequest | None:
    """Return what a request routed by its headers says; None if its headers name no target.

    To be asked after ``parse_gateway``, whose URLs may carry the same headers.

    Args:
        request_headers: by lower-case name.
        raw_path: the request's path.
        query_string: its query, without ``?``.

    Raises:
        ActorError: ``guard.no_route``, or ``guard.missing_header`` without an actor.
    """
    target = request_headers.get(headers.TARGET)
    if target is None:
        return None
    if target != "actor" or not (raw_path == "/request" or raw_path.startswith("/request/")):
        raise make("guard.no_route")
    actor_id = request_headers.get(headers.ACTOR)
    if not actor_id:
        raise ActorError("guard", "missing_header", f"The header `{headers.ACTOR}` is missing.")
    return GatewayRequest(
        ById(actor_id),
        raw_path,
        query_string,
        token=request_headers.get(headers.TOKEN) or None,
        skip_ready_wait=request_headers.get(headers.SKIP_READY_WAIT) in ("1", "true"),
    )


def parse_socket_target(
    offer: Subprotocols, raw_path: str, query_string: str = ""
) -> GatewayRequest | None:
    """Return what a socket routed by its subprotocols says; None if they name no target.

    Raises:
        ActorError: ``guard.no_route``, or ``guard.missing_header`` without an actor.
    """
    if offer.target is None:
        return None
    if offer.target != "actor":
        raise make("guard.no_route")
    if not offer.actor:
        raise ActorError("guard", "missing_header", "The subprotocol `rivet_actor.` is missing.")
    return GatewayRequest(
        ById(offer.actor),
        raw_path,
        query_string,
        token=offer.token or None,
        skip_ready_wait=offer.skip_ready_wait,
    )


def gateway_url(request: GatewayRequest) -> str:
    """Return the path and query that say the same; the reverse of ``parse_gateway``.

    Parameters come in the official client's order.

    Raises:
        TypeError: the input has no form on the wire.
        ActorError: ``actor.input_too_large`` for more than ``MAX_URL_INPUT_BYTES``.
        ValueError: a target by key has no namespace or, to create, no pool.
    """
    target = request.target
    subpath = "" if request.subpath == "/" else request.subpath
    if isinstance(target, ById):
        token = "" if request.token is None else "@" + percent.encode_component(request.token)
        query = "?" + request.query if request.query else ""
        return _GATEWAY + percent.encode_component(target.actor_id) + token + subpath + query
    if request.namespace is None:
        raise ValueError("A URL of an actor by key needs a namespace.")
    pairs = [("namespace", request.namespace)]
    if target.create:
        if target.pool is None:
            raise ValueError("A URL that creates an actor needs a pool.")
        pairs += [("method", "getOrCreate"), ("runner", target.pool)]
    else:
        pairs.append(("method", "get"))
    if target.key:
        pairs.append(("key", ",".join(target.key)))
    if target.create:
        if target.input is not None:
            pairs.append(("input", _input_text(target.input)))
        if target.region is not None:
            pairs.append(("region", target.region))
        pairs.append(("crash-policy", "sleep"))
    if request.token is not None:
        pairs.append(("token", request.token))
    if request.skip_ready_wait:
        pairs.append(("skip-ready-wait", "true"))
    query = "&".join([f"{_PREFIX}{name}={percent.encode_form(value)}" for name, value in pairs])
    if request.query:
        query = f"{request.query}&{query}"
    return f"{_GATEWAY}{percent.encode_component(target.name)}{subpath}?{query}"


def _input_text(value: object) -> str:
    data = cbor.dumps(value)
    if len(data) > MAX_URL_INPUT_BYTES:
        raise ActorError(
            "actor",
            "input_too_large",
            f"The actor's input takes {len(data)} bytes; a URL holds {MAX_URL_INPUT_BYTES}. "
            "Create the actor with `create`, which sends it in a body.",
            {"limit": MAX_URL_INPUT_BYTES, "size": len(data)},
        )
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
