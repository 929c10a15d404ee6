"""Whatever arrives, it is read or refused with one clear error; nothing else ever happens."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.protocol import cbor
from rivetless.protocol.codec import BARE, CBOR, JSON, Codec
from rivetless.protocol.messages import (
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    Event,
    HttpActionRequest,
    HttpActionResponse,
    HttpError,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
    Init,
    SubscriptionRequest,
)
from rivetless.protocol.values import JSON as JSON_STYLE
from rivetless.protocol.values import MAX_DEPTH, tag

CODECS = [JSON, CBOR, BARE]
KINDS: list[Any] = [
    HttpActionRequest,
    HttpActionResponse,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
    HttpError,
]
EACH_CODEC = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)

VALUE = {"a": [1, 2**60, 1.5, "é", b"\xff", {1, 2}, None, ["$x", 1]], "b": 1700000000000}
SAMPLES: list[Any] = [
    ActionRequest(1, "a", [VALUE]),
    SubscriptionRequest("e", True),
    Init("a", "c"),
    ErrorFrame("g", "c", "m", VALUE, 1, None),
    ActionResponse(1, VALUE),
    Event("e", [VALUE]),
    HttpActionRequest([VALUE]),
    HttpActionResponse(VALUE),
    HttpQueueSendRequest(VALUE, "q", True, 5),
    HttpQueueSendResponse("completed", VALUE),
    HttpError("g", "c", "m", VALUE),
]


def readers(codec: Codec) -> list[Callable[[bytes], object]]:
    bodies = [lambda data, kind=kind: codec.decode(kind, data) for kind in KINDS]
    return [*bodies, codec.decode_to_server, codec.decode_to_client]


def read_everything(codec: Codec, data: bytes) -> None:
    """Read data as everything that it could be; anything but the one error gets through."""
    for read in readers(codec):
        try:
            decoded: Any = read(data)
        except ActorError as error:
            check_refusal(error)
            continue
        for name in decoded.message.__slots__:
            check_plain(getattr(decoded.message, name))
        assert codec.encode(decoded.message, decoded.version)


def check_refusal(error: ActorError) -> None:
    assert error.name == "actor.invalid_request"
    assert 10 < len(error.message) < 300
    assert error.message.isprintable()
    # A cause would keep the caller's bytes alive in logs.
    assert error.__suppress_context__ or error.__context__ is None


PLAIN = (str, int, float, bool, bytes, list, dict, set, datetime, type(None))


def check_plain(value: object) -> None:
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        value = list(value.values())
    if isinstance(value, list | set):
        for item in value:
            check_plain(item)
    assert isinstance(value, PLAIN) or hasattr(value, "actor_id")


@EACH_CODEC
@settings(max_examples=150)
@given(data=st.binary(max_size=80))
@example(data=b"")
@example(data=b"\x00")
@example(data=b"\xef\xbb\xbf{}")
@example(data=b"null")
@example(data=b"[]")
@example(data=b'{"body":[]}')
@example(data=b'{"body":{"tag":[],"val":{}}}')
@example(data=b'{"args":["\\ud800"]}')
@example(data=b'{"args":[1e999,-1e999,NaN]}')
@example(data=b'{"output":' + b"9" * 5000 + b"}")
def test_noise(codec: Codec, data: bytes) -> None:
    read_everything(codec, data)


@EACH_CODEC
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_truncation(codec: Codec, sample: Any) -> None:
    data = codec.encode(sample)
    for size in range(len(data)):
        read_everything(codec, data[:size])
    for rest in (b"\0", b"1", b"\xff", data):
        read_everything(codec, data + rest)


@EACH_CODEC
@settings(max_examples=150)
@given(
    sample=st.sampled_from(SAMPLES),
    position=st.integers(0, 200),
    length=st.integers(0, 5),
    inserted=st.binary(max_size=6)
    | st.sampled_from([b"$BigInt", b'["$', b"\xd9\x01\x02", b"\xc2", b"\xf7", b"\xff" * 9]),
)
def test_damage(codec: Codec, sample: Any, position: int, length: int, inserted: bytes) -> None:
    data = codec.encode(sample)
    read_everything(codec, data[:position] + inserted + data[position + length :])


# Any JSON at all, in the place of everything that a message holds.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["$BigInt", "$Set", "$Uint8Array", "$Undefined", "$$", "Event", "Error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["body", "tag", "val", "id", "name", "args", "output", "actor"]), inner
        )
    ),
    max_leaves=5,
)


@EACH_CODEC
@settings(max_examples=60)
@given(
    tag_name=st.sampled_from(
        ["Init", "Error", "ActionResponse", "Event", "ActionRequest", "SubscriptionRequest"]
    ),
    names=st.lists(
        st.sampled_from(
            [
                *("id", "name", "args", "output", "group", "code", "message", "metadata"),
                *("actionId", "actor", "actorId", "connectionId", "eventName", "subscribe"),
                *("body", "wait", "timeout", "status", "response"),
            ]
        ),
        max_size=5,
        unique=True,
    ),
    contents=st.lists(ANYTHING, min_size=5, max_size=5),
)
def test_wrong_types(codec: Codec, tag_name: str, names: list[str], contents: list[object]) -> None:
    val = dict(zip(names, contents, strict=False))
    for document in (val, {"body": {"tag": tag_name, "val": val}}):
        if codec is JSON:
            data = json.dumps(tag(document, JSON_STYLE)).encode()
        else:
            data = cbor.dumps(document)
        read_everything(codec, data)


@pytest.mark.parametrize("opener", [b"[", b'{"a":', b'["$Set",[', b'["$$x",'])
@pytest.mark.parametrize("head", [b'{"args":', b'{"body":{"tag":"Event","val":{"args":'])
def test_deep_json(opener: bytes, head: bytes) -> None:
    for count in (MAX_DEPTH, 198, 100_000):
        read_everything(JSON, head + opener * count)


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_how_deep_json_may_be(opener: bytes, closer: bytes) -> None:
    def body(levels: int) -> bytes:
        return b'{"args":' + opener * levels + b"1" + closer * levels + b"}"

    assert JSON.decode(HttpActionRequest, body(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, 190, 1000):
        with pytest.raises(ActorError, match=r"nests deeper|recursion"):
            JSON.decode(HttpActionRequest, body(levels))


@EACH_CODEC
def test_what_is_read_can_be_written_and_read_again(codec: Codec) -> None:
    def nested(levels: int) -> Any:
        return [nested(levels - 1)] if levels else 1

    deepest = nested(MAX_DEPTH)
    for message in (
        HttpActionRequest(deepest),
        HttpActionResponse(deepest),
        HttpQueueSendRequest(deepest),
        HttpError("g", "c", "m", deepest),
    ):
        assert codec.decode(type(message), codec.encode(message)).message == message
    request = ActionRequest(1, "a", deepest)
    assert codec.decode_to_server(codec.frame(request)).message == request
    for frame in (
        ActionResponse(1, deepest),
        Event("e", deepest),
        ErrorFrame("g", "c", "", deepest),
    ):
        assert codec.decode_to_client(codec.frame(frame)).message == frame


def test_depth_does_not_depend_on_whether_there_are_tags() -> None:
    deep = b"[" * (MAX_DEPTH + 1) + b"%b" + b"]" * (MAX_DEPTH + 1)
    for leaf in (b"1", b'["$BigInt","1"]'):
        with pytest.raises(ActorError, match="nests deeper"):
            JSON.decode(HttpActionRequest, b'{"args":' + deep % leaf + b"}")


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("opener", [b"\x81", b"\xa1\x61a", b"\xd9\x01\x02\x81", b"\xc1", b"\x9f"])
def test_deep_cbor_within_bare(version: int, opener: bytes) -> None:
    for count in (MAX_DEPTH + 1, 400, 16_000):
        value = opener * count + b"\x01"
        size = bytes([len(value) & 0x7F | 0x80, len(value) >> 7 & 0x7F | 0x80, len(value) >> 14])
        read_everything(BARE, version.to_bytes(2, "little") + size + value)


@pytest.mark.parametrize("codec", [CBOR, BARE], ids=lambda codec: codec.name)
def test_text_frames_of_binary_connections(codec: Codec) -> None:
    for read in (codec.decode_to_server, codec.decode_to_client):
        with pytest.raises(ActorError, match="text frame"):
            read('{"body":{}}')


def test_text_frames_with_half_characters() -> None:
    with pytest.raises(ActorError, match="surrogate"):
        JSON.decode_to_server('{"body":"\ud800"}')


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("[]", "The message is not a map but an array."),
        ("{}", "`body` is not a map but null."),
        ('{"body":{"tag":"Nope","val":{}}}', "Unknown kind of frame 'Nope'."),
        ('{"body":{"tag":1,"val":{}}}', "`tag` is not text but the number 1."),
        (
            '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"a"}}}',
            "`subscribe` is not true or false but missing.",
        ),
        (
            '{"body":{"tag":"ActionRequest","val":{"id":-1,"name":"a"}}}',
            "`id` is not an integer from 0 to 2**64 - 1 but the number -1.",
        ),
        (
            '{"body":{"tag":"ActionRequest","val":{"id":true,"name":"a"}}}',
            "`id` is not an integer from 0 to 2**64 - 1 but a boolean.",
        ),
        (
            '{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","%s"],"name":"a"}}}'
            % ("9" * 4000),
            "`id` is not an integer from 0 to 2**64 - 1 but the number of many digits.",
        ),
        (
            '{"body":{"tag":"ActionRequest","val":{"id":1,"name":["a"]}}}',
            "`name` is not text but an array.",
        ),
        ("{", "The message is not valid JSON: EOF while parsing an object at line 1 column 1."),
    ],
)
def test_messages_say_what_is_wrong(frame: str, message: str) -> None:
    with pytest.raises(ActorError) as caught:
        JSON.decode_to_server(frame)
    assert caught.value.message == message
