"""The management API: find, create, list and destroy actors (protocol section 2)."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic_core import from_json, to_json

from rivetless.errors import ActorError, incoming_too_long, make
from rivetless.gateway.access import Access
from rivetless.gateway.asgi import Exchange
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.origins import address_of
from rivetless.keys import parse, serialise
from rivetless.protocol import cbor, percent
from rivetless.protocol.targets import MAX_INPUT_BYTES
from rivetless.protocol.values import JSON, tag
from rivetless.runtime.commands import (
    ActorInfo,
    ById,
    ByKey,
    DestroyActor,
    GetActor,
    ListActors,
    ListLetters,
    PurgeLetters,
    ReplayLetter,
    SleepActor,
)

if TYPE_CHECKING:
    from rivetless.registry import Registry
    from rivetless.runtime.dead import Letter

__all__ = ["Management", "actor_json"]

_MAX_IDS: Final = 32
_MAX_LIMIT: Final = 1000
_BODY_LIMIT: Final = 2 * MAX_INPUT_BYTES
_DATACENTER: Final = "local"

_Params = Mapping[str, str]
_Answer = Mapping[str, Any]
_LIST_PARAMS: Final = frozenset(
    {"namespace", "name", "key", "actor_ids", "limit", "cursor", "include_destroyed"}
)
_NAMES_PARAMS: Final = frozenset({"namespace", "limit", "cursor"})
_ONE_PARAMS: Final = frozenset({"namespace"})
_LETTER_PARAMS: Final = frozenset({"namespace", "limit", "kind"})
_CREATE_FIELDS: Final = frozenset(
    {"datacenter", "name", "key", "runner_name_selector", "input", "crash_policy"}
)
_CRASH_POLICIES: Final = ("sleep", "restart", "destroy")


class Management:
    """Answers management requests.

    Args:
        registry: the actors there are.
        dispatcher: runs the commands.
        access: lets administrators through.
    """

    def __init__(self, registry: Registry, dispatcher: Dispatcher, access: Access) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._access = access

    async def serve(self, exchange: Exchange) -> None:
        """Answer a request for ``/actors…``, ``/datacenters`` or ``/namespaces``."""
        answer = await self._handler(exchange)(exchange)
        await exchange.reply(200, to_json(answer))

    def _handler(self, exchange: Exchange) -> Callable[[Exchange], Coroutine[Any, Any, _Answer]]:
        methods: dict[str, Callable[[Exchange], Coroutine[Any, Any, _Answer]]]
        match exchange.path.strip("/").split("/"):
            case ["actors"]:
                methods = {"GET": self._get, "PUT": self._get_or_create, "POST": self._create}
            case ["actors", "names"]:
                methods = {"GET": self._names}
            case ["actors", _]:
                methods = {"DELETE": self._destroy}
            case ["actors", _, "sleep"]:
                methods = {"POST": self._sleep}
            case ["actors", _, "reschedule"]:
                methods = {"POST": self._reschedule}
            case ["actors", _, "dead-letters"]:
                methods = {"GET": self._letters, "DELETE": self._purge}
            case ["actors", _, "dead-letters", _]:
                methods = {"DELETE": self._purge}
            case ["actors", _, "dead-letters", _, "replay"]:
                methods = {"POST": self._replay}
            case ["actors", _, "kv", "keys", _]:
                methods = {"GET": self._kv}
            case ["datacenters"]:
                methods = {"GET": self._datacenters}
            case _:
                raise make("api.not_found")
        handler = methods.get("GET" if exchange.method == "HEAD" else exchange.method)
        if handler is None:
            raise make(
                "actor.method_not_allowed", {"method": exchange.method, "path": exchange.path}
            )
        return handler

    # -- reading ----------------------------------------------------------------------------------

    async def _get(self, exchange: Exchange) -> _Answer:
        params = _query(exchange, _LIST_PARAMS)
        namespace = _required(params, "namespace")
        ids, name, key = params.get("actor_ids"), params.get("name"), params.get("key")
        if ids is not None:
            if name is not None or key is not None:
                raise _invalid("Name and key cannot be used together with actor_ids.")
            return _page(await self._by_ids(namespace, ids.split(",")))
        if name is None:
            if key is not None:
                raise _invalid("Name is required when key is provided.")
            raise _invalid("Name is required when not using actor_ids.")
        destroyed = _flag(params, "include_destroyed")
        if key is not None:
            return _page(await self._by_key(namespace, name, key))
        self._access.check(exchange)
        definition = self._registry.find(name)
        command = ListActors(
            namespace,
            name if definition is None else definition.name,
            limit=_limit(params),
            before=_before(params),
            include_destroyed=destroyed,
        )
        return _page(await self._dispatcher.dispatch(command))

    async def _by_ids(self, namespace: str, ids: Sequence[str]) -> list[ActorInfo]:
        if len(ids) > _MAX_IDS:
            raise ActorError(
                "validation",
                "too_many_actor_ids",
                f"{len(ids)} actor ids. Limit is {_MAX_IDS}.",
                {"limit": _MAX_IDS},
            )
        found: list[ActorInfo] = []
        for actor_id in dict.fromkeys(ids):
            try:
                info = await self._dispatcher.find(actor_id)
            except (ActorError, ValueError):
                continue  # no id of ours: the engine ignores what it cannot read
            if info is not None and info.address.namespace == namespace:
                found.append(info)
        return found

    async def _by_key(self, namespace: str, name: str, key: str) -> list[ActorInfo]:
        try:
            address = address_of(self._registry, namespace, name, parse(key))
            return [await self._dispatcher.dispatch(GetActor(ByKey(address)))]
        except ActorError as error:
            if error.name in ("actor.not_found", "actor.not_registered"):
                return []
            raise

    async def _names(self, exchange: Exchange) -> _Answer:
        self._access.check(exchange)
        params = _query(exchange, _NAMES_PARAMS)
        _required(params, "namespace")
        cursor = params.get("cursor", "")
        names = sorted(name for name in self._registry.definitions if name > cursor)
        names = names[: _limit(params)]
        return {
            "names": {name: _appearance(self._registry, name) for name in names},
            "pagination": {"cursor": names[-1] if names else None},
        }

    async def _datacenters(self, exchange: Exchange) -> _Answer:
        host = exchange.header(b"host") or "localhost"
        scheme: str = exchange.scope.get("scheme", "http")
        one = {"label": 0, "name": _DATACENTER, "url": f"{scheme}://{host}"}
        return {"datacenters": [one], "pagination": {"cursor": None}}

    # -- writing ----------------------------------------------------------------------------------

    async def _get_or_create(self, exchange: Exchange) -> _Answer:
        info = await self._make(exchange, exclusive=False)
        return {"actor": actor_json(info), "created": info.created}

    async def _create(self, exchange: Exchange) -> _Answer:
        return {"actor": actor_json(await self._make(exchange, exclusive=True))}

    async def _make(self, exchange: Exchange, *, exclusive: bool) -> ActorInfo:
        namespace = _required(_query(exchange, _ONE_PARAMS), "namespace")
        fields = _object(await exchange.body(_BODY_LIMIT, incoming_too_long))
        unknown = fields.keys() - _CREATE_FIELDS
        if unknown:
            raise _bad_body(f"unknown field `{min(unknown)[:64]}`")
        name = _text(fields, "name")
        _text(fields, "runner_name_selector")
        if _text(fields, "crash_policy") not in _CRASH_POLICIES:
            raise _bad_body(f"`crash_policy` is not one of {', '.join(_CRASH_POLICIES)}")
        key = fields.get("key")
        if key is None and exclusive:
            key = "/"
        if not isinstance(key, str):
            raise _bad_body("`key` is not text")
        if not key:
            raise make("actor.empty_key")
        address = address_of(self._registry, namespace, name, parse(key))
        target = ByKey(address, create=True, input=_input(fields.get("input")))
        info: ActorInfo = await self._dispatcher.dispatch(GetActor(target, exclusive=exclusive))
        return info

    async def _destroy(self, exchange: Exchange) -> _Answer:
        await self._dispatcher.dispatch(DestroyActor(self._one(exchange)))
        return {}

    async def _sleep(self, exchange: Exchange) -> _Answer:
        await self._dispatcher.dispatch(SleepActor(self._one(exchange)))
        return {}

    async def _reschedule(self, exchange: Exchange) -> _Answer:
        """Do nothing but check: an actor of ours is never placed anywhere."""
        await self._dispatcher.dispatch(GetActor(self._one(exchange)))
        return {}

    # -- dead letters -----------------------------------------------------------------------------

    async def _letters(self, exchange: Exchange) -> _Answer:
        params = _query(exchange, _LETTER_PARAMS)
        target = self._one(exchange, _LETTER_PARAMS)
        command = ListLetters(target, max(_limit(params), 1), params.get("kind"))
        letters = await self._dispatcher.dispatch(command)
        return {"letters": [letter_json(letter) for letter in letters]}

    async def _replay(self, exchange: Exchange) -> _Answer:
        letter_id = self._letter(exchange)
        command = ReplayLetter(self._one(exchange), letter_id)
        return {"replayed": await self._dispatcher.dispatch(command)}

    async def _purge(self, exchange: Exchange) -> _Answer:
        parts = exchange.path.strip("/").split("/")
        letter_id = self._letter(exchange) if len(parts) > 3 else None
        command = PurgeLetters(self._one(exchange), letter_id)
        return {"purged": await self._dispatcher.dispatch(command)}

    def _letter(self, exchange: Exchange) -> str:
        return _decoded(exchange.path.strip("/").split("/")[3])

    async def _kv(self, exchange: Exchange) -> _Answer:
        self._one(exchange)
        raise make("actor.kv_key_not_found")

    def _one(self, exchange: Exchange, params: frozenset[str] = _ONE_PARAMS) -> ById:
        self._access.check(exchange)
        namespace = _required(_query(exchange, params), "namespace")
        return ById(namespace, _decoded(exchange.path.strip("/").split("/")[1]))


def letter_json(letter: Letter) -> _Answer:
    """Return a dead letter as the management API shows it."""
    failure = letter.failure
    return {
        "letter_id": letter.id,
        "kind": letter.kind,
        "source_id": letter.source,
        "dead_ts": round(letter.at * 1000),
        "attempts": letter.attempts,
        "error": {"group": failure.group, "code": failure.code, "message": failure.message},
        "body": tag(letter.body, JSON),
    }


def actor_json(info: ActorInfo) -> _Answer:
    """Return an actor as the management API shows it, in the engine's order."""
    created = round(info.created_at * 1000)
    destroyed = None if info.destroyed_at is None else round(info.destroyed_at * 1000)
    return {
        "actor_id": info.actor_id,
        "name": info.address.name,
        "key": serialise(info.address.key),
        "namespace_id": info.address.namespace,
        "datacenter": _DATACENTER,
        "runner_name_selector": "default",
        "crash_policy": "sleep",
        "create_ts": created,
        "start_ts": created,
        "pending_allocation_ts": None,
        "connectable_ts": created if destroyed is None else None,
        "sleep_ts": None,
        "reschedule_ts": None,
        "destroy_ts": destroyed,
    }


def _appearance(registry: Registry, name: str) -> _Answer:
    from rivetless.gateway.metadata import appearance

    return {"metadata": appearance(registry.definitions[name])}


def _page(infos: Sequence[ActorInfo]) -> _Answer:
    # The engine gives the cursor of the last item on the last page, too.
    cursor = None
    if infos:
        # Its creation, as the engine writes it; and, as many may begin in one instant, its id.
        cursor = f"{round(infos[-1].created_at * 1000)}-{infos[-1].actor_id}"
    return {"actors": [actor_json(info) for info in infos], "pagination": {"cursor": cursor}}


# -- parameters and bodies ------------------------------------------------------------------------


def _query(exchange: Exchange, known: frozenset[str]) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in filter(None, exchange.query.split("&")):
        raw_name, _, raw_value = pair.partition("=")
        try:
            name, value = percent.decode_form(raw_name), percent.decode_form(raw_value)
        except ValueError as error:
            raise _bad(f"The query cannot be decoded. {error}") from None
        if name not in known:
            raise _bad(f"Unknown parameter `{name[:64]}`.")
        if name in params:
            raise _bad(f"`{name}` is given twice.")
        params[name] = value
    return params


def _decoded(segment: str) -> str:
    try:
        return percent.decode_text(segment)
    except ValueError as error:
        raise _bad(f"The path cannot be decoded. {error}") from None


def _required(params: _Params, name: str) -> str:
    value = params.get(name)
    if not value:
        raise _bad(f"`{name}` is missing.")
    return value


def _flag(params: _Params, name: str) -> bool:
    value = params.get(name, "false")
    if value not in ("true", "false"):
        raise _bad(f"`{name}` is not `true` or `false`.")
    return value == "true"


def _limit(params: _Params) -> int:
    text = params.get("limit", "100")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise _bad("`limit` is not a number.")
    return min(int(text), _MAX_LIMIT)


def _before(params: _Params) -> float | tuple[float, str] | None:
    cursor = params.get("cursor")
    if cursor is None:
        return None
    instant, _, actor_id = cursor.partition("-")
    if not instant.isascii() or not instant.isdigit() or len(instant) > 15 or len(actor_id) > 64:
        raise _bad("`cursor` is not one of ours.")
    return (int(instant) / 1000, actor_id) if actor_id else int(instant) / 1000


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields: Any = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _bad_body(str(error)) from None
    if not isinstance(fields, dict):
        raise _bad_body("it is not an object")
    return cast("dict[str, Any]", fields)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _bad_body(f"`{name}` is not text" if name in fields else f"`{name}` is missing")
    return value


def _input(value: object) -> object:
    """Return the plain input in a body: base64 of CBOR."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise _bad_body("`input` is not text")
    if len(value) * 3 // 4 > MAX_INPUT_BYTES + 2:
        raise make("actor.input_too_large", {"limit": MAX_INPUT_BYTES, "size": len(value) * 3 // 4})
    try:
        data = binascii.a2b_base64(value.encode("ascii", errors="replace"), strict_mode=True)
    except binascii.Error:
        raise _bad_body("`input` is not base64") from None
    return cbor.loads(data) if data else None


def _bad(reason: str) -> ActorError:
    return ActorError("api", "bad_request", f"Request is invalid: {reason}", {"reason": reason})


def _bad_body(reason: str) -> ActorError:
    return _bad(f"the body cannot be read: {reason}")


def _invalid(message: str) -> ActorError:
    return ActorError("validation", "invalid_input", message)
