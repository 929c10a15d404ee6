"""``LocalTransport``: nothing is shared by reference, and the turn says which call it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless.client import Client, FetchResponse, LocalTransport, QueueReply
from rivetless.client.calls import ActionCall, Origin
from rivetless.client.local import detach
from rivetless.errors import ActorError

from .actors import ScriptedTransport


class Model(BaseModel):
    at: datetime
    data: bytes


@dataclass
class Point:
    x: int


class Color(Enum):
    RED = "red"


NOW = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        ({"a": (1,)}, {"a": [1]}),
        ({1: "a"}, {"1": "a"}),
        ({1, 2}, {1, 2}),
        (deque([1]), [1]),
        (Color.RED, "red"),
        (Point(1), {"x": 1}),
        (2**80, 2**80),
        (b"\x00", b"\x00"),
        (NOW, NOW),
        (["$x", 1], ["$x", 1]),
        (None, None),
    ],
)
def test_detached_values_are_plain(value: object, plain: object) -> None:
    assert detach(value) == plain
    assert type(detach(value)) is type(plain)


def test_detached_models() -> None:
    detached = detach([Model(at=NOW, data=b"x")])
    assert detached[0]["data"] == b"x"


def test_detached_values_share_nothing() -> None:
    inner: dict[str, Any] = {"a": [1]}
    copy = detach([inner, {1, 2}])
    inner["a"].append(2)
    inner["b"] = 1
    assert copy[0] == {"a": [1]}


@pytest.mark.parametrize("value", [object(), lambda: None, [object()]])
def test_what_cannot_be_sent(value: object) -> None:
    with pytest.raises(TypeError):
        detach(value)


def test_a_cycle_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="deeper than"):
        detach(cycle)


async def test_arguments_and_results_are_copies() -> None:
    dispatcher = ScriptedTransport()
    kept = [1]
    dispatcher.answers = [kept]
    client = Client(transport=LocalTransport(dispatcher))
    given = {"x": [1]}
    result = await client.get("a", params=given).do(given)
    (call,) = dispatcher.requests
    assert isinstance(call, ActionCall)
    assert call.args == [given]
    assert call.args[0] is not given
    assert call.params is not given
    assert result == kept
    assert result is not kept


class Turn:
    """Counts its calls, and refuses from the fourth on."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def begin(self, request: object, /) -> Origin:
        self.calls.append(request)
        if len(self.calls) > 3:
            raise ActorError("actor", "aborted", "no more")
        return Origin(f"key-{len(self.calls)}", ("outer",), 5.0)


async def test_a_turn_names_its_calls_once_each() -> None:
    dispatcher = ScriptedTransport()
    dispatcher.answers = [1, QueueReply("completed"), FetchResponse(200)]
    turn = Turn()
    client = Client(transport=LocalTransport(dispatcher, caller=turn))
    handle = client.get("a")
    await handle.do((1,))
    await client.send(handle, "q", 1)
    await client.fetch(handle)
    origins = [getattr(request, "origin", None) for request in dispatcher.requests]
    assert origins == [Origin(f"key-{n}", ("outer",), 5.0) for n in (1, 2, 3)]
    first = turn.calls[0]
    assert isinstance(first, ActionCall)
    assert first.args == [[1]]  # plain already, as what is hashed must be
    for attempt in (client.resolve(handle), client.connect(handle).ready()):
        with pytest.raises(ActorError, match="no more"):
            await attempt


async def test_nothing_is_tried_again() -> None:
    dispatcher = ScriptedTransport()
    for name in ("not_found", "restarting"):
        dispatcher.answers = [ActorError("actor", name, "")]
        with pytest.raises(ActorError):
            await Client(transport=LocalTransport(dispatcher)).get_or_create("a").do()
    assert len(dispatcher.requests) == 2


async def test_sockets_and_ids() -> None:
    dispatcher = ScriptedTransport()
    dispatcher.answers = ["id"]
    transport = LocalTransport(dispatcher, encoding="cbor")
    client = Client(transport=transport)
    assert transport.encoding == "cbor"
    assert await client.resolve(client.get("a")) == "id"
    async with client.web_socket(client.get("a", params=(1,))):
        assert dispatcher.server.request.params == [1]
    await client.aclose()
    assert not dispatcher.closed
