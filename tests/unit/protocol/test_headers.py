"""Connection parameters, subprotocols and close reasons."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.protocol.headers import (
    MAX_CONN_PARAMS_BYTES,
    CloseReason,
    Subprotocols,
    close_code,
    close_reason,
    conn_params_header,
    parse_close_reason,
    parse_conn_params_header,
    parse_subprotocols,
    subprotocols,
)

PARAMS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_no_header_is_no_parameters() -> None:
    assert parse_conn_params_header(None) is None


@pytest.mark.parametrize(
    ("header", "params"),
    [
        ("null", None),
        ('{"a":1}', {"a": 1}),
        # As UTF-8, one character a byte; and as the official client sends it.
        ('"\xc3\xa9"', "é"),
        ('"\xe9"', "é"),
        ('"\xe2\x98\x83"', "☃"),
        # From test clients that hand over text as it is.
        ('"☃"'.encode().decode("latin-1"), "☃"),
        # Parameters have no tags.
        ('["$BigInt","1"]', ["$BigInt", "1"]),
        ('["$x",1]', ["$x", 1]),
    ],
)
def test_header(header: str, params: object) -> None:
    assert parse_conn_params_header(header) == params


@given(PARAMS)
def test_header_round_trip(params: object) -> None:
    header = conn_params_header(params)
    assert header.isascii()
    assert header.isprintable()
    assert parse_conn_params_header(header) == params


@pytest.mark.parametrize(
    "header", ["", "{", "nonsense", "\xff", "[" * 300, '"\\ud800"', "{}{}", "☃", '{"a":"\n"}']
)
def test_malformed_headers(header: str) -> None:
    with pytest.raises(ActorError, match="Connection parameters") as caught:
        parse_conn_params_header(header)
    assert caught.value.name == "actor.invalid_request"


@given(st.text(max_size=30))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        parse_conn_params_header(header)
    except ActorError:
        return


def test_parameters_have_a_limit() -> None:
    fits = "x" * (MAX_CONN_PARAMS_BYTES - 2)
    assert parse_conn_params_header(conn_params_header(fits)) == fits
    long = fits + "x"
    message = "too large \\(4097 bytes\\). Limit is 4096 bytes"
    with pytest.raises(ActorError, match=message):
        conn_params_header(long)
    with pytest.raises(ActorError, match=message):
        parse_conn_params_header(f'"{long}"')
    with pytest.raises(ActorError, match=message):
        parse_subprotocols(f"rivet,rivet_conn_params.%22{long}%22")


@pytest.mark.parametrize("params", [object(), {"a": object()}, b"\xff"])
def test_parameters_that_cannot_be_sent(params: object) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        conn_params_header(params)


# -- subprotocols --------------------------------------------------------------------------------


def test_the_offer_of_the_description() -> None:
    offer = (
        "rivet,rivet_encoding.json,"
        "rivet_conn_params.%7B%22name%22%3A%22bob%20%26%20%5C%22%C3%A9%2Cx%22%7D"
    )
    assert parse_subprotocols(offer) == Subprotocols(
        encoding="json", params={"name": 'bob & "é,x'}, offers_rivet=True
    )


@pytest.mark.parametrize("offer", ["", ",", " , ,", "graphql-ws", []])
def test_offers_without_us(offer: Any) -> None:
    assert parse_subprotocols(offer) == Subprotocols()


def test_the_first_of_each_kind_counts() -> None:
    offer = " rivet , rivet_encoding.cbor,rivet_encoding.json, rivet_token.a, rivet_token.b"
    assert parse_subprotocols(offer) == Subprotocols("cbor", token="a", offers_rivet=True)


def test_tokens_of_tests_and_strangers_are_ignored() -> None:
    offer = ["rivet", "rivet_test_ack_hook.abc", "rivet_unknown.x", "rivet_skip_ready_wait.x"]
    assert parse_subprotocols(offer) == Subprotocols(offers_rivet=True)


@pytest.mark.parametrize("name", ["", "xml", "JSON", "b" * 10_000])
def test_unknown_encodings(name: str) -> None:
    with pytest.raises(ActorError) as caught:
        parse_subprotocols(["rivet", f"rivet_encoding.{name}"])
    assert caught.value.name == "actor.unsupported_websocket_encoding"
    assert close_code(caught.value) == 1003
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    "params", ["", "%", "%7", "%zz", "{", "%FF", "%22%ED%A0%80%22", "☃", "nonsense", "%5B" * 300]
)
def test_malformed_parameters(params: str) -> None:
    with pytest.raises(ActorError) as caught:
        parse_subprotocols(["rivet", f"rivet_conn_params.{params}"])
    assert caught.value.name == "actor.invalid_request"


@given(st.text(max_size=20), st.sampled_from(["", "rivet_conn_params.", "rivet_encoding."]))
def test_any_offer_is_read_or_refused(text: str, prefix: str) -> None:
    try:
        parse_subprotocols(prefix + text)
    except ActorError as error:
        assert len(close_reason(error).encode()) <= 123  # noqa: PT017


@given(PARAMS, st.booleans())
def test_offer_round_trip(params: object, skip: bool) -> None:
    offer = subprotocols("bare", params, actor_id="i" * 30, token="t", skip_ready_wait=skip)
    parsed = parse_subprotocols(",".join(offer))
    assert parsed == Subprotocols("bare", params, "actor", "i" * 30, "t", skip, True)
    # What may stand in a header without quotes (RFC 9110, token).
    allowed = set("!#$%&'*+-.^_`|~()") | set(map(chr, range(48, 58)))
    for token in offer:
        assert all(character.isalnum() or character in allowed for character in token)
    assert quote("".join(offer), safe="%!~*'()")


# -- close reasons -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("user.denied", 1011),
        ("guard.service_unavailable", 1011),
        ("actor.invalid_request", 1011),
        ("actor.unsupported_websocket_encoding", 1003),
        ("message.invalid_utf8", 1007),
        ("actor.stopped", 1000),
        ("ws.connection_closed", 1000),
        ("ws.eviction", 1000),
    ],
)
def test_close_codes(name: str, code: int) -> None:
    group, failure = name.split(".")
    error = ActorError(group, failure, "message")
    assert close_code(error) == code
    assert close_reason(error) == name


def test_reasons() -> None:
    error = ActorError("guard", "no_route", "m")
    assert close_reason(error, "ray1") == "guard.no_route#ray1"
    assert parse_close_reason("guard.no_route#ray1") == CloseReason("guard", "no_route", "ray1")
    assert parse_close_reason("Disposed") is None


def test_reasons_are_cut_between_characters() -> None:
    error = ActorError("user", "é" * 100, "m")
    reason = close_reason(error)
    assert len(reason.encode()) <= 123
    assert reason == "user." + "é" * 59
    assert close_reason(ActorError("user", "\ud800", "m")) == "user.?"
