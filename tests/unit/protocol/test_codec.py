"""The three codecs: examples of the protocol's description, round trips, versions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivetless.errors import ActorError, ActorSpecifier, UserError
from rivetless.protocol.codec import BARE, CBOR, JSON, Codec, codec_for, requested_codec
from rivetless.protocol.messages import (
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    Event,
    HttpActionRequest,
    HttpActionResponse,
    HttpBody,
    HttpError,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
    Init,
    Message,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from tests.unit.protocol.plain import TEXTS, VALUES, exactly

CODECS = [JSON, CBOR, BARE]
ID = "i" * 30
CONN = "c" * 36
WHERE = ActorSpecifier(ID, 1, "w2-bare")
ID_HEX = ID.encode().hex()
CONN_HEX = CONN.encode().hex()

EACH_CODEC = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def compact(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def names(codec: Codec) -> tuple[str, str, bool]:
    return codec.name, codec.content_type, codec.text


def test_names() -> None:
    assert names(JSON) == ("json", "application/json", True)
    assert names(CBOR) == ("cbor", "application/octet-stream", False)
    assert names(BARE) == ("bare", "application/octet-stream", False)
    assert [codec_for(codec.name) for codec in CODECS] == CODECS
    with pytest.raises(ActorError) as caught:
        codec_for("xml")
    assert caught.value.name == "encoding.invalid"


@pytest.mark.parametrize(
    ("header", "codec"), [(None, JSON), ("", JSON), ("xml", JSON), ("cbor", CBOR), ("bare", BARE)]
)
def test_the_codec_of_a_request(header: str | None, codec: Codec) -> None:
    assert requested_codec(header) is codec


# -- examples of the description -----------------------------------------------------------------

BODIES: list[tuple[Codec, HttpBody, bytes]] = [
    (JSON, HttpActionRequest([5]), b'{"args":[5]}'),
    (JSON, HttpActionResponse(5), b'{"output":5}'),
    (CBOR, HttpActionResponse(10), compact("a1666f75747075740a")),
    (BARE, HttpActionRequest([5]), compact("0400 02 8105")),
    (BARE, HttpActionResponse(15), compact("0400 01 0f")),
    (
        JSON,
        HttpQueueSendRequest({"j": 2}, "jobs", True, 3000),
        b'{"body":{"j":2},"name":"jobs","wait":true,"timeout":3000}',
    ),
    (JSON, HttpQueueSendRequest(1, "jobs"), b'{"body":1,"name":"jobs","wait":false}'),
    (
        JSON,
        HttpQueueSendResponse("completed", {"a": 1}),
        b'{"status":"completed","response":{"a":1}}',
    ),
    (BARE, HttpQueueSendResponse("completed"), compact("0400 09636f6d706c65746564 00")),
    (BARE, HttpQueueSendResponse("timedOut"), compact("0400 0874696d65644f7574 00")),
    (
        JSON,
        HttpError("user", "my_code", "bad thing", {"a": 1}, ActorSpecifier("x", 1, "a")),
        b'{"actor":{"actorId":"x","generation":1,"key":"a"},"code":"my_code","group":"user",'
        b'"message":"bad thing","metadata":{"a":1}}',
    ),
    (
        BARE,
        HttpError("user", "my_code", "bad thing", {"a": 1}, WHERE),
        compact(
            "0400 0475736572 076d795f636f6465 09626164207468696e67 01 04a1616101"
            f"01 1e{ID_HEX} 01 01 07 77322d62617265"
        ),
    ),
    (
        BARE,
        HttpError("user", "my_code", "bad thing"),
        compact("0400 0475736572 076d795f636f6465 09626164207468696e67 00 00"),
    ),
]

FRAMES: list[tuple[Codec, ToClient | ToServer, str | bytes]] = [
    (
        JSON,
        Init("A", "C"),
        '{"body":{"tag":"Init","val":{"actorId":"A","connectionId":"C"}}}',
    ),
    (BARE, Init(ID, CONN), compact(f"0400 00 1e{ID_HEX} 24{CONN_HEX}")),
    (
        JSON,
        SubscriptionRequest("changed", True),
        '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"changed","subscribe":true}}}',
    ),
    (BARE, SubscriptionRequest("changed", True), compact("0400 01 076368616e676564 01")),
    (
        JSON,
        ActionRequest(0, "inc", [2]),
        '{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","0"],"name":"inc","args":[2]}}}',
    ),
    (BARE, ActionRequest(0, "inc", [2]), compact("0400 00 00 03696e63 028102")),
    (
        JSON,
        ActionResponse(0, 2),
        '{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","0"],"output":2}}}',
    ),
    (BARE, ActionResponse(0, 2), compact("0400 02 00 0102")),
    (
        JSON,
        Event("changed", [2]),
        '{"body":{"tag":"Event","val":{"args":[2],"name":"changed"}}}',
    ),
    (BARE, Event("changed", [2]), compact("0400 03 076368616e676564 028102")),
    (
        JSON,
        ErrorFrame("user", "c", "m", {"a": 1}, 3, ActorSpecifier("A", 1, "k")),
        '{"body":{"tag":"Error","val":{"actionId":["$BigInt","3"],'
        '"actor":{"actorId":"A","generation":1,"key":"k"},'
        '"code":"c","group":"user","message":"m","metadata":{"a":1}}}}',
    ),
    (
        JSON,
        ErrorFrame("user", "c", "m"),
        '{"body":{"tag":"Error","val":{"actionId":null,"code":"c","group":"user","message":"m"}}}',
    ),
    (
        BARE,
        ErrorFrame("user", "my_code", "bad thing", {"a": 1}, 3, ActorSpecifier(ID, 2, "w2-bare")),
        compact(
            "0400 01 0475736572 076d795f636f6465 09626164207468696e67 0104a1616101 0103"
            f"01 1e{ID_HEX} 02 01 0777322d62617265"
        ),
    ),
    (
        BARE,
        ErrorFrame("user", "denied", "denied!", {"why": "no"}),
        compact("0400 01 0475736572 0664656e696564 0764656e69656421 01 08a163776879626e6f 00 00"),
    ),
]


@pytest.mark.parametrize(("codec", "body", "data"), BODIES)
def test_bodies(codec: Codec, body: HttpBody, data: bytes) -> None:
    assert codec.encode(body) == data
    decoded = codec.decode(type(body), data)
    assert decoded.message == body
    assert decoded.version == 4


@pytest.mark.parametrize(("codec", "frame", "data"), FRAMES)
def test_frames(codec: Codec, frame: ToClient | ToServer, data: str | bytes) -> None:
    assert codec.frame(frame) == data
    assert read(codec, frame, data).message == frame


def read(codec: Codec, like: ToClient | ToServer, data: str | bytes) -> Any:
    if isinstance(like, ActionRequest | SubscriptionRequest):
        return codec.decode_to_server(data)
    return codec.decode_to_client(data)


def test_queue_bodies_of_the_description() -> None:
    body = compact("0400 06b90001616a02 01046a6f6273 0101 01b80b000000000000")
    sent = BARE.decode(HttpQueueSendRequest, body).message
    assert sent == HttpQueueSendRequest({"j": 2}, "jobs", True, 3000)
    body = compact("0400 06b90001616a01 01046a6f6273 0100 00")
    sent = BARE.decode(HttpQueueSendRequest, body).message
    assert sent == HttpQueueSendRequest({"j": 1}, "jobs", False, None)
    body = compact("0400 09636f6d706c65746564 01 0db9000163676f74b90001616a02")
    got = BARE.decode(HttpQueueSendResponse, body).message
    assert got == HttpQueueSendResponse("completed", {"got": {"j": 2}})


def test_the_cbor_client_writes_long_maps() -> None:
    body = compact("b9000164617267738105")
    assert CBOR.decode(HttpActionRequest, body).message == HttpActionRequest([5])
    # `timeout` is there and undefined when it is not set.
    body = compact("b9000464626f647901 646e616d65646a6f6273 6477616974f4 6774696d656f7574f7")
    assert CBOR.decode(HttpQueueSendRequest, body).message == HttpQueueSendRequest(1, "jobs")


def test_ids_in_cbor_have_eight_bytes() -> None:
    # The official client takes shorter ones for numbers, and drops the frame.
    for frame in (
        ActionRequest(3, "a", []),
        ActionResponse(3, None),
        ErrorFrame("g", "c", "m", None, 3),
        ErrorFrame("g", "c", "m", None, None, ActorSpecifier(ID, 3, None)),
    ):
        assert b"\x1b" + (3).to_bytes(8, "big") in CBOR.encode(frame)


# -- what is sent in more than one form ------------------------------------------------------------


@EACH_CODEC
@pytest.mark.parametrize(
    ("args", "read_as"),
    [([1, 2], [1, 2]), (None, []), (5, [5]), ({"a": 1}, [{"a": 1}]), ("x", ["x"]), ([], [])],
)
def test_arguments_are_normalised(codec: Codec, args: Any, read_as: list[object]) -> None:
    body = codec.encode(HttpActionRequest(args))
    assert codec.decode(HttpActionRequest, body).message.args == read_as
    frame = codec.frame(ActionRequest(1, "a", args))
    assert codec.decode_to_server(frame).message == ActionRequest(1, "a", read_as)
    event = codec.frame(Event("e", args))
    assert codec.decode_to_client(event).message == Event("e", read_as)


@EACH_CODEC
def test_no_body_is_no_argument(codec: Codec) -> None:
    assert codec.decode(HttpActionRequest, b"").message == HttpActionRequest([])
    for kind in (HttpActionResponse, HttpQueueSendRequest, HttpError):
        with pytest.raises(ActorError):
            codec.decode(kind, b"")


@pytest.mark.parametrize("body", [b"{}", b'{"args":null}', b'{"args":["$Undefined",0]}'])
def test_missing_arguments(body: bytes) -> None:
    assert JSON.decode(HttpActionRequest, body).message == HttpActionRequest([])


@pytest.mark.parametrize("number", ['["$BigInt","7"]', "7", "7.0", "7e0"])
def test_ids_are_taken_in_every_form(number: str) -> None:
    frame = '{"body":{"tag":"ActionRequest","val":{"id":#,"name":"a"}}}'.replace("#", number)
    assert JSON.decode_to_server(frame).message == ActionRequest(7, "a", [])
    assert JSON.decode_to_server(frame.encode()).message == ActionRequest(7, "a", [])


@pytest.mark.parametrize("number", ["07", "1807", "190007", "1b0000000000000007", "f94700"])
def test_cbor_ids_are_taken_in_every_form(number: str) -> None:
    frame = compact(
        f"a164626f6479a2637461676d416374696f6e526571756573746376616ca2626964{number}646e616d656161"
    )
    assert CBOR.decode_to_server(frame).message == ActionRequest(7, "a", [])


@pytest.mark.parametrize(
    ("body", "wait", "timeout"),
    [
        (b'{"body":1}', False, None),
        (b'{"body":1,"wait":null,"timeout":null,"name":null}', False, None),
        (b'{"body":1,"wait":true,"timeout":1500.7}', True, 1500),
        (b'{"body":1,"timeout":0}', False, 0),
    ],
)
def test_queue_options(body: bytes, wait: bool, timeout: int | None) -> None:
    sent = JSON.decode(HttpQueueSendRequest, body).message
    assert sent == HttpQueueSendRequest(1, None, wait, timeout)


def test_escaped_dollars_are_seen() -> None:
    body = b'{"args":[["\\u0024BigInt","5"]]}'
    assert JSON.decode(HttpActionRequest, body).message.args == [5]


def test_lookalikes_in_cbor_requests_are_kept() -> None:
    # The official client escapes nothing in this mode; our answers to it are escaped.
    body = compact("a1646172677381 82622478 01")
    assert CBOR.decode(HttpActionRequest, body).message.args == [["$x", 1]]
    with pytest.raises(ActorError, match="Unknown tag"):
        CBOR.decode(HttpActionResponse, compact("a1666f7574707574 82622478 01"))
    assert CBOR.encode(HttpActionResponse(["$x", 1])) == compact("a1666f7574707574 8263242478 01")


def test_floats_that_json_does_not_have() -> None:
    endless = [float("inf"), float("nan")]
    assert JSON.encode(HttpActionResponse(endless)) == b'{"output":[null,null]}'
    for codec in (CBOR, BARE):
        output = codec.decode(HttpActionResponse, codec.encode(HttpActionResponse(endless))).message
        assert str(output.output) == "[inf, nan]"


# -- round trips -----------------------------------------------------------------------------------

U64 = st.integers(0, 2**64 - 1)
SPECIFIERS = st.none() | st.builds(ActorSpecifier, TEXTS, U64, st.none() | TEXTS)
ARGS = st.lists(VALUES, max_size=3)
MESSAGES: dict[type[Message], st.SearchStrategy[Any]] = {
    ActionRequest: st.builds(ActionRequest, U64, TEXTS, ARGS),
    SubscriptionRequest: st.builds(SubscriptionRequest, TEXTS, st.booleans()),
    Init: st.builds(Init, TEXTS, TEXTS),
    ErrorFrame: st.builds(ErrorFrame, TEXTS, TEXTS, TEXTS, VALUES, st.none() | U64, SPECIFIERS),
    ActionResponse: st.builds(ActionResponse, U64, VALUES),
    Event: st.builds(Event, TEXTS, ARGS),
    HttpActionRequest: st.builds(HttpActionRequest, ARGS),
    HttpActionResponse: st.builds(HttpActionResponse, VALUES),
    HttpQueueSendRequest: st.builds(
        HttpQueueSendRequest,
        VALUES,
        st.none() | TEXTS,
        st.booleans(),
        st.none() | st.integers(0, 2**53),
    ),
    HttpQueueSendResponse: st.builds(
        HttpQueueSendResponse, st.sampled_from(["completed", "timedOut"]), VALUES
    ),
    HttpError: st.builds(HttpError, TEXTS, TEXTS, TEXTS, VALUES, SPECIFIERS),
}
QUEUES = (HttpQueueSendRequest, HttpQueueSendResponse)


def fields(message: object) -> object:
    return type(message), [
        exactly(getattr(message, name)) for name in getattr(message, "__slots__", ())
    ]


@EACH_CODEC
@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_round_trip(codec: Codec, kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(MESSAGES[kind])
    version = data.draw(st.sampled_from([1, 2, 3, 4] if codec is BARE else [4]))
    if kind in QUEUES:
        version = max(version, 3)
    if kind in (ErrorFrame, HttpError) and version < 4:
        message = type(message)(
            *[None if name == "actor" else getattr(message, name) for name in message.__slots__]
        )
    if kind.__name__.startswith("Http"):
        decoded: Any = codec.decode(kind, codec.encode(message, version))
    else:
        decoded = read(codec, message, codec.frame(message, version))
    assert fields(decoded.message) == fields(message)
    assert decoded.version == version


# -- versions --------------------------------------------------------------------------------------


def test_version_1_has_a_token() -> None:
    data = BARE.encode(Init("A", "C"), 1)
    assert data == compact("0100 00 0141 0143 00")
    with_token = compact("0100 00 0141 0143 03616263")
    assert BARE.decode_to_client(with_token) == (Init("A", "C"), 1)
    assert BARE.encode(Init("A", "C"), 2) == compact("0200 00 0141 0143")


def test_versions_before_4_have_no_actor_in_errors() -> None:
    frame = ErrorFrame("g", "c", "m", None, 3, WHERE)
    assert BARE.encode(frame, 3) == compact("0300 01 0167 0163 016d 00 0103")
    body = HttpError("g", "c", "m", None, WHERE)
    assert BARE.encode(body, 3) == compact("0300 0167 0163 016d 00")


def test_versions_before_4_have_no_tags() -> None:
    # Their clients decode plain CBOR: what they do not know they would take for an array.
    sent = [2**60, b"x", {5}, ["$x", 1]]
    body = BARE.encode(HttpActionResponse(sent), 3)
    assert body == compact("0300 16 84 1b1000000000000000 4178 d901028105 82622478 01")
    assert BARE.decode(HttpActionResponse, body).message.output == sent
    lookalike = compact("0300 0b 81 82 67 24426967496e74 01")
    assert BARE.decode(HttpActionRequest, lookalike).message.args == [["$BigInt", 1]]
    assert CBOR.encode(HttpActionResponse({5}), 3) == compact("a1666f7574707574 d901028105")
    assert JSON.encode(HttpActionResponse([{5}, 2**60]), 3) == (
        b'{"output":[[5],["$BigInt","1152921504606846976"]]}'
    )


@pytest.mark.parametrize("version", [0, 5, 65535])
def test_other_versions_are_refused(version: int) -> None:
    head = version.to_bytes(2, "little")
    with pytest.raises(ActorError, match=f"Version {version} "):
        BARE.decode(HttpActionRequest, head + b"\x02\x81\x05")
    with pytest.raises(ActorError, match=f"Version {version} "):
        BARE.decode_to_server(head + b"\x01\x01a\x01")


@pytest.mark.parametrize("version", [1, 2])
def test_queues_came_with_version_3(version: int) -> None:
    head = version.to_bytes(2, "little")
    with pytest.raises(ActorError, match="knows no queues"):
        BARE.decode(HttpQueueSendRequest, head + compact("01 05 00 00 00"))


# -- errors ----------------------------------------------------------------------------------------


def test_errors_become_frames_and_bodies_and_errors_again() -> None:
    error = UserError("Bad token", code="bad_token", metadata={"hint": 1})
    error.actor = WHERE
    for carried in (ErrorFrame.of(error, 5).to_error(), HttpError.of(error).to_error()):
        assert vars(carried) == vars(error)
    assert ErrorFrame.of(error, 5).action_id == 5


@EACH_CODEC
def test_errors_are_always_sent(codec: Codec) -> None:
    # Whatever an application puts into an error, the caller must hear of the error.
    broken = HttpError("user", "c", "half \ud800", {"a": object()}, ActorSpecifier(ID, 1, "\ud800"))
    for version in (3, 4):
        got = codec.decode(HttpError, codec.encode(broken, version)).message
        assert got.message == "half ?"
        assert got.metadata == "<dict that cannot be sent>"
    frame = ErrorFrame("user", "c", "half \ud800", b"\xff" * 3, None, None)
    assert codec.decode_to_client(codec.frame(frame)).message == ErrorFrame(
        "user", "c", "half ?", b"\xff" * 3
    )


@EACH_CODEC
@pytest.mark.parametrize(
    "value", [object(), "\ud800", {"\ud800": 1}, [["a", "\udfff"]], [10**4400]]
)
def test_results_that_cannot_be_sent(codec: Codec, value: object) -> None:
    with pytest.raises(TypeError, match="sent"):
        codec.encode(HttpActionResponse([value]))
