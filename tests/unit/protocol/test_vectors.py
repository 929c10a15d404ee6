"""What the npm client `rivetkit` 2.3.19 wrote, recorded in ``vectors.json``, is read as meant."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from rivetless.keys import parse, serialise
from rivetless.protocol.codec import codec_for
from rivetless.protocol.headers import (
    Subprotocols,
    parse_close_reason,
    parse_subprotocols,
    subprotocols,
)
from rivetless.protocol.messages import (
    ActionRequest,
    HttpActionRequest,
    HttpQueueSendRequest,
)
from rivetless.protocol.targets import ById, ByKey, GatewayRequest, gateway_url, parse_gateway
from tests.unit.protocol.plain import exactly, from_notation

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text())


@pytest.mark.parametrize("encoding", ["json", "cbor", "bare"])
@pytest.mark.parametrize("name", VECTORS["values"])
def test_values(name: str, encoding: Literal["json", "cbor", "bare"]) -> None:
    vector = VECTORS["values"][name]
    value = from_notation(vector.get("instead", {}).get(encoding) or vector["plain"])
    codec = codec_for(encoding)

    def data(form: str) -> bytes:
        text: str = vector[encoding][form]
        return text.encode() if codec.text else bytes.fromhex(text)

    body = codec.decode(HttpActionRequest, data("http_action"))
    assert exactly(body.message.args) == exactly([value])
    assert body.version == 4
    frame = codec.decode_to_server(data("action")).message
    assert isinstance(frame, ActionRequest)
    assert (frame.id, frame.name, exactly(frame.args)) == (7, "echo", exactly([value]))
    sent = codec.decode(HttpQueueSendRequest, data("queue")).message
    assert exactly(sent.body) == exactly(value)
    assert (sent.name, sent.wait, sent.timeout) == ("jobs", True, 3000)


@pytest.mark.parametrize("vector", VECTORS["keys"])
def test_keys(vector: dict[str, Any]) -> None:
    assert serialise(tuple(vector["key"])) == vector["text"]
    assert parse(vector["text"]) == tuple(vector["key"])


@pytest.mark.parametrize("vector", VECTORS["parsed_keys"])
def test_odd_texts_of_keys(vector: dict[str, Any]) -> None:
    assert parse(vector["text"]) == tuple(vector["key"])


@pytest.mark.parametrize("vector", VECTORS["urls"])
def test_urls(vector: dict[str, Any]) -> None:
    path, _, query = vector["url"].partition("?")
    parsed = parse_gateway(path, query)
    assert parsed is not None
    assert parsed == meant(vector, split=True)
    written = gateway_url(meant(vector, split=False))
    if vector.get("input") is None:
        assert written == vector["url"]
    else:
        # The client writes maps in a longer form of CBOR.
        assert without_input(written) == without_input(vector["url"])


def meant(vector: dict[str, Any], *, split: bool) -> GatewayRequest:
    if vector["method"] == "id":
        target: ById | ByKey = ById(vector["id"])
        return GatewayRequest(target, vector["subpath"], vector["query"], None, vector["token"])
    key = tuple(vector["key"])
    if split and key == ("",):
        key = ()
    if vector["method"] == "get":
        target = ByKey(vector["name"], key)
    else:
        target = ByKey(
            vector["name"],
            key,
            create=True,
            input=from_notation(vector["input"]),
            region=vector["region"],
            pool=vector["pool"],
        )
    return GatewayRequest(
        target,
        vector["subpath"],
        vector["query"],
        vector["namespace"],
        vector["token"],
        vector.get("skip", False),
    )


def without_input(url: str) -> list[str]:
    return [pair for pair in url.split("&") if not pair.startswith("rvt-input=")]


@pytest.mark.parametrize("vector", VECTORS["subprotocols"])
def test_subprotocols(vector: dict[str, Any]) -> None:
    routed = vector["actor"] is not None
    assert parse_subprotocols(",".join(vector["tokens"])) == Subprotocols(
        encoding=vector["encoding"],
        params=vector["params"],
        target="actor" if routed else None,
        actor=vector["actor"],
        token=vector["token"] if routed else None,
        skip_ready_wait=vector["skip"],
        offers_rivet=True,
    )
    written = subprotocols(
        vector["encoding"],
        vector["params"],
        actor_id=vector["actor"],
        token=vector["token"],
        skip_ready_wait=vector["skip"],
    )
    assert written == vector["tokens"]


def test_parameters_of_all_scripts() -> None:
    vector = VECTORS["unicode_params"]
    assert parse_subprotocols(["rivet", vector["token"]]).params == vector["params"]


@pytest.mark.parametrize("vector", VECTORS["close_reasons"])
def test_close_reasons(vector: dict[str, Any]) -> None:
    parsed = parse_close_reason(vector["reason"])
    assert (None if parsed is None else list(parsed)) == vector["parsed"]
