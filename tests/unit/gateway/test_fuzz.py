"""Whatever arrives: a clear error, never one of ours, and nothing reaches an actor by accident."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rivetless.runtime.commands import ById, ByKey
from tests.unit.gateway.gateways import QUERY, Peer, World, paths, settle

text = st.text(st.characters(max_codepoint=0xFF), max_size=40)
segment = st.one_of(
    st.sampled_from(
        [
            "gateway",
            "counter",
            "action",
            "increment",
            "request",
            "connect",
            "websocket",
            "queue",
            "actors",
            "names",
            "sleep",
            "kv",
            "keys",
            "metadata",
            "start",
            "api",
            "rivet",
            "@",
            "%",
            "openapi.json",
            "inspector",
            "..",
            ".",
            "%00",
            "%ff",
            "%2F",
            "a@b",
        ]
    ),
    text,
)
path = st.lists(segment, max_size=6).map(lambda parts: "/" + "/".join(parts).replace("?", "x"))
parameter = st.one_of(
    st.sampled_from(
        [
            "rvt-namespace=default",
            "rvt-method=get",
            "rvt-method=getOrCreate",
            "rvt-runner=x",
            "rvt-key=a,b",
            "rvt-key=%",
            "rvt-input=oA",
            "rvt-input=gA",
            "rvt-",
            "rvt-x=1",
            "=",
            "&",
            "namespace=default",
            "name=counter",
            "key=a",
            "actor_ids=x",
            "limit=9",
            "cursor=1-x",
        ]
    ),
    text,
)
query = st.lists(parameter, max_size=6).map("&".join)
header = st.sampled_from(
    [
        "x-rivet-encoding",
        "x-rivet-conn-params",
        "x-rivet-target",
        "x-rivet-actor",
        "x-rivet-ray-id",
        "host",
        "idempotency-key",
        "content-length",
        "origin",
        "authorization",
        "x-rivetless-signature",
        "content-type",
        "x-rivetless-chain",
        "x-rivetless-call-key",
        "x-rivet-pool-name",
        "access-control-request-headers",
    ]
)
value = st.one_of(st.sampled_from(["json", "cbor", "bare", "actor", "{}", "[", "0", "null"]), text)
headers = st.dictionaries(header, value, max_size=5)
body = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"{}", b'{"args":[1]}', b"\x04\x00\x01\x80", b"\xa0", b"[" * 3000]),
)
method = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "FOO"])


@given(method, path, query, headers, body)
def test_http(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    world = World()
    world.gateway.trust(b"a secret of sixteen")
    reply = asyncio.run(world.request(method, f"{path}?{query}", body, headers=headers))

    assert 200 <= reply.status < 500 or reply.status == 501
    if reply.status >= 400:
        assert reply.headers["x-rivet-error"]
    for command in world.runtime.commands:
        target = getattr(command, "target", None)
        assert target is None or isinstance(target, ById | ByKey)


offer = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "rivet",
                "rivet_encoding.json",
                "rivet_encoding.bare",
                "rivet_encoding.",
                "rivet_target.actor",
                "rivet_actor.x",
                "rivet_conn_params.%7B%7D",
                "rivet_conn_params.%",
                "rivet_conn_params.",
                "rivet_skip_ready_wait",
            ]
        ),
        text,
    ),
    max_size=5,
)
frame = st.one_of(
    st.binary(max_size=60),
    text,
    st.sampled_from(
        [
            '{"body":{"tag":"ActionRequest","val":{"id":1,"name":"x","args":[]}}}',
            '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"x","subscribe":true}}}',
            b"\x04\x00\x00\x00\x01x\x01\x80",
            b"\x04\x00\x01\x01x\x01",
        ]
    ),
)


@given(st.one_of(path, st.just("/gateway/counter/connect")), offer, st.lists(frame, max_size=4))
def test_sockets(path: str, offer: list[str], frames: list[str | bytes]) -> None:
    async def run() -> Peer:
        world = World()
        scope: dict[str, Any] = {
            "type": "websocket",
            **paths(path),
            "query_string": QUERY.encode(),
            "headers": [],
            "client": ("127.0.0.1", 1),
            "subprotocols": offer,
        }
        peer = Peer(world.gateway, scope)
        for item in frames:
            peer.send(item)
        await settle()
        peer.hang_up()
        await peer.task
        await settle()
        assert len(world.table) == 0
        assert len(world.tasks) == 0
        return peer

    peer = asyncio.run(run())

    assert peer.accepted["subprotocol"] == ("rivet" if "rivet" in offer else None)
    if peer.close is not None:
        code, reason = peer.close
        assert code in (1003, 1011)
        assert not reason.startswith(("rivetkit.", "core."))
        assert "." in reason
