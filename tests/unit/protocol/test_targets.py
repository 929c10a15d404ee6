"""The three forms of a gateway's URL."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.keys import Address
from rivetless.protocol import cbor, targets
from rivetless.protocol.headers import Subprotocols
from rivetless.protocol.targets import (
    MAX_INPUT_BYTES,
    ById,
    ByKey,
    GatewayRequest,
    gateway_url,
    parse_gateway,
    parse_header_target,
    parse_socket_target,
)
from tests.unit.protocol.plain import VALUES, exactly

ID = "x" * 30
GET = "rvt-namespace=default&rvt-method=get"
CREATE = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"


# -- direct form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "request_"),
    [
        (f"/gateway/{ID}/action/foo", "", GatewayRequest(ById(ID), "/action/foo")),
        (f"/gateway/{ID}", "", GatewayRequest(ById(ID), "/")),
        (f"/gateway/{ID}/", "", GatewayRequest(ById(ID), "/")),
        (f"/gateway/{ID}/request/a%2Fb/", "", GatewayRequest(ById(ID), "/request/a%2Fb/")),
        (
            f"/gateway/{ID}@to%2Fk/connect",
            "",
            GatewayRequest(ById(ID), "/connect", token="to/k"),
        ),
        (f"/gateway/{ID}@/connect", "", GatewayRequest(ById(ID), "/connect")),
        (f"/gateway/{ID}@a@b", "", GatewayRequest(ById(ID), "/", token="a@b")),
        (
            f"/gateway/{ID}/request",
            "a=1&&b=%zz&rv-t=1&c=rvt-key",
            GatewayRequest(ById(ID), "/request", "a=1&&b=%zz&rv-t=1&c=rvt-key"),
        ),
        ("/gateway/not%20an%20id", "", GatewayRequest(ById("not an id"))),
    ],
)
def test_direct_form(path: str, query: str, request_: GatewayRequest) -> None:
    assert parse_gateway(path, query) == request_


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/gateway",
        "/gateway/",
        "/gateway//action/foo",
        f"/gateway/{ID}//action",
        f"//gateway/{ID}",
        f"/gateway/{ID}/request//x",
        "/gateway/@token",
        "/gateways/x",
        "/actors",
        "gateway/x",
    ],
)
def test_what_is_no_gateway_path(path: str) -> None:
    assert parse_gateway(path) is None


@pytest.mark.parametrize("segment", ["%", "%4", "%zz", "%ff", "a@%ff", "a%", "☃"])
def test_paths_that_cannot_be_decoded(segment: str) -> None:
    with pytest.raises(ActorError, match="cannot be decoded") as caught:
        parse_gateway(f"/gateway/{segment}/action/foo")
    assert caught.value.name == "actor.invalid_request"


# -- query form ----------------------------------------------------------------------------------


def by_key(query: str, path: str = "/gateway/counter/action/foo") -> GatewayRequest:
    request = parse_gateway(path, query)
    assert request is not None
    return request


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("", ()),
        ("&rvt-key=", ()),
        ("&rvt-key=k", ("k",)),
        ("&rvt-key=a,b", ("a", "b")),
        ("&rvt-key=a%2Cb", ("a", "b")),
        ("&rvt-key=a,", ("a", "")),
        ("&rvt-key=a+b%2B%20c", ("a b+ c",)),
        ("&rvt-key=%E2%98%83", ("☃",)),
        ("&rvt-key=a%3Db=c", ("a=b=c",)),
        ("&rvt-key", ()),
        ("&rvt%2Dkey=k", ("k",)),
    ],
)
def test_keys(query: str, key: tuple[str, ...]) -> None:
    assert by_key(GET + query).target == ByKey("counter", key)
    assert by_key(CREATE + query).target == ByKey("counter", key, create=True, pool="default")


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (GET, ""),
        (f"a=1&{GET}&b=2", "a=1&b=2"),
        (f"{GET}&", ""),
        (f"&{GET}&&x", "&&x"),
        (f"q=%zz%ff+é&{GET}&rvtkey=1&%zz", "q=%zz%ff+é&rvtkey=1&%zz"),
        (f"a=rvt-key&rvt=1&RVT-KEY=x&{GET}", "a=rvt-key&rvt=1&RVT-KEY=x"),
    ],
)
def test_the_users_query_is_kept_byte_for_byte(query: str, kept: str) -> None:
    assert by_key(query).query == kept


@pytest.mark.parametrize(
    ("path", "name", "subpath"),
    [
        ("/gateway/counter", "counter", "/"),
        ("/gateway/counter/", "counter", "/"),
        ("/gateway/chat%20room%2Fx/request/a%20b", "chat room/x", "/request/a%20b"),
        ("/gateway/a+b%40c/connect", "a+b@c", "/connect"),
    ],
)
def test_names_and_subpaths(path: str, name: str, subpath: str) -> None:
    request = by_key(GET, path)
    assert request.target == ByKey(name)
    assert request.subpath == subpath
    assert request.address == Address("default", name)


def test_everything_else() -> None:
    request = by_key(
        "rvt-namespace=n+s&rvt-method=getOrCreate&rvt-runner=r&rvt-pool=p&rvt-region=eu"
        "&rvt-crash-policy=restart&rvt-token=t%26&rvt-skip-ready-wait=true"
    )
    target = ByKey("counter", (), create=True, region="eu", pool="p")
    assert request == GatewayRequest(target, "/action/foo", "", "n s", "t&", True)
    assert GatewayRequest(ById(ID)).address is None


@pytest.mark.parametrize(
    ("value", "flag"), [("true", True), ("1", True), ("false", False), ("0", False)]
)
def test_flags(value: str, flag: bool) -> None:
    assert by_key(f"{GET}&rvt-skip-ready-wait={value}").skip_ready_wait is flag


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@given(VALUES)
def test_inputs(value: object) -> None:
    request = by_key(f"{CREATE}&rvt-input={encoded(cbor.dumps(value))}")
    assert isinstance(request.target, ByKey)
    assert exactly(request.target.input) == exactly(value)


def test_each_request_gets_an_input_of_its_own() -> None:
    query = f"{CREATE}&rvt-input={encoded(cbor.dumps([]))}"
    for _ in range(3):
        target = by_key(query).target
        assert isinstance(target, ByKey)
        assert target.input == []
        assert isinstance(target.input, list)
        target.input.append("changed by an actor")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"{GET}&rvt-nope=1", "query_invalid_params"),
        (f"{GET}&rvt-=1", "query_invalid_params"),
        (f"{GET}&rvt-Key=1", "query_invalid_params"),
        ("rvt-method=get", "query_invalid_params"),
        ("rvt-namespace=&rvt-method=get", "query_invalid_params"),
        ("rvt-namespace=default", "query_invalid_params"),
        ("rvt-namespace=default&rvt-method=", "query_invalid_params"),
        ("rvt-namespace=default&rvt-method=create", "query_invalid_params"),
        ("rvt-namespace=default&rvt-method=GET", "query_invalid_params"),
        (f"{GET}&rvt-skip-ready-wait=yes", "query_invalid_params"),
        (f"{CREATE}&rvt-crash-policy=explode", "query_invalid_params"),
        (f"{GET}&rvt-key=a&rvt-key=a", "query_duplicate_param"),
        (f"{GET}&rvt-key=a&rvt%2Dkey=a", "query_duplicate_param"),
        (f"{GET}&rvt-method=get", "query_duplicate_param"),
        (f"{GET}&rvt-runner=x", "query_get_disallowed_params"),
        (f"{GET}&rvt-pool=x", "query_get_disallowed_params"),
        (f"{GET}&rvt-input=oA", "query_get_disallowed_params"),
        (f"{GET}&rvt-region=x", "query_get_disallowed_params"),
        (f"{GET}&rvt-crash-policy=sleep", "query_get_disallowed_params"),
        ("rvt-namespace=default&rvt-method=getOrCreate", "query_missing_pool"),
        ("rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=", "query_missing_pool"),
        (f"{GET}&rvt-key=%", "query_invalid_percent_encoding"),
        (f"{GET}&rvt-key=%zz", "query_invalid_percent_encoding"),
        (f"{GET}&rvt-key=%ff", "query_invalid_percent_encoding"),
        (f"{GET}&rvt-key=\xff", "query_invalid_percent_encoding"),
        (f"{GET}&rvt-key=☃", "query_invalid_percent_encoding"),
        (f"{CREATE}&rvt-input=*", "query_invalid_base64_input"),
        (f"{CREATE}&rvt-input=a", "query_invalid_base64_input"),
        (f"{CREATE}&rvt-input=oA%2B", "query_invalid_base64_input"),
        (f"{CREATE}&rvt-input=", "query_invalid_cbor_input"),
        (f"{CREATE}&rvt-input=gg", "query_invalid_cbor_input"),
        (f"{CREATE}&rvt-input={'gQ' * 2000}", "query_invalid_cbor_input"),
    ],
)
def test_queries_that_are_refused(query: str, code: str) -> None:
    for _ in range(2):  # refusals are not remembered
        with pytest.raises(ActorError) as caught:
            parse_gateway("/gateway/counter/action/foo", query)
        assert caught.value.name == f"guard.{code}"
        assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/gateway/", "query_empty_actor_name"),
        ("/gateway/counter@token/action/foo", "query_path_token_syntax"),
        ("/gateway/@token", "query_path_token_syntax"),
        ("/gateway/%/action/foo", "query_invalid_percent_encoding"),
        ("/gateway/%ff", "query_invalid_percent_encoding"),
    ],
)
def test_paths_that_are_refused(path: str, code: str) -> None:
    with pytest.raises(ActorError) as caught:
        parse_gateway(path, GET)
    assert caught.value.name == f"guard.{code}"


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        (f"/gateway/{'n' * 65}", GET, "actor.invalid_request"),
        ("/gateway/a%00b", GET, "actor.invalid_request"),
        ("/gateway/c", f"rvt-namespace={'n' * 65}&rvt-method=get", "actor.invalid_request"),
        ("/gateway/c", "rvt-namespace=a%0Ab&rvt-method=get", "actor.invalid_request"),
        ("/gateway/c", f"{GET}&rvt-key={'k' * 129}", "actor.key_too_large"),
        ("/gateway/c", f"{GET}&rvt-key={','.join(['k' * 100] * 11)}", "actor.key_too_large"),
    ],
)
def test_addresses_that_are_refused(path: str, query: str, name: str) -> None:
    with pytest.raises(ActorError) as caught:
        parse_gateway(path, query)
    assert caught.value.name == name


def test_inputs_have_a_limit() -> None:
    head = b"\x5a" + MAX_INPUT_BYTES.to_bytes(4, "big")
    data = encoded(head + b"x" * MAX_INPUT_BYTES)
    with pytest.raises(ActorError) as caught:
        parse_gateway("/gateway/counter", f"{CREATE}&rvt-input={data}")
    assert caught.value.name == "actor.input_too_large"


@given(st.text(max_size=40), st.text(max_size=60))
def test_any_url_is_read_or_refused(path: str, query: str) -> None:
    for form in (query, f"{query}&{GET}", f"{CREATE}&{query}", f"{CREATE}&rvt-{query}"):
        for form_path in (path, f"/gateway/{path}"):
            try:
                request = parse_gateway(form_path, form)
            except ActorError:
                continue
            assert request is None or request.subpath.startswith("/")


# -- builders ------------------------------------------------------------------------------------

NAMES = st.text("abcXYZ-_. /@%?#+~é☃", min_size=1, max_size=20)
# A comma or nothing at all in a part cannot be told from parts in this form.
KEYS = st.lists(st.text("abc/\\ +%&=#é☃", min_size=1, max_size=8), max_size=3).map(tuple)
SUBPATHS = st.sampled_from(["/", "/action/foo", "/request/a%20b/c", "/connect"])
QUERIES = st.sampled_from(["", "a=1", "a=1&b=%20+&c", "x=rvt"])
TOKENS = st.none() | st.text("abc/@ +%é", min_size=1, max_size=8)
TARGETS: st.SearchStrategy[Any] = st.builds(ByKey, NAMES, KEYS) | st.builds(
    ByKey,
    NAMES,
    KEYS,
    create=st.just(True),
    input=st.none() | st.dictionaries(st.text("ab", max_size=3), st.integers(0, 9)),
    region=st.none() | NAMES,
    pool=NAMES,
)


@given(
    st.builds(GatewayRequest, TARGETS, SUBPATHS, QUERIES, NAMES, TOKENS, st.booleans())
    | st.builds(GatewayRequest, st.builds(ById, NAMES), SUBPATHS, QUERIES, token=TOKENS)
)
def test_parsing_reverses_building(request_: GatewayRequest) -> None:
    url = gateway_url(request_)
    assert url.isascii()
    path, _, query = url.partition("?")
    assert parse_gateway(path, query) == request_


def test_building_needs_all_parts() -> None:
    with pytest.raises(ValueError, match="namespace"):
        gateway_url(GatewayRequest(ByKey("counter")))
    with pytest.raises(ValueError, match="pool"):
        gateway_url(GatewayRequest(ByKey("counter", create=True), namespace="default"))


def test_building_refuses_a_long_input() -> None:
    target = ByKey("counter", create=True, input="x" * 5000, pool="default")
    with pytest.raises(ActorError, match="Create the actor with `create`") as caught:
        gateway_url(GatewayRequest(target, namespace="default"))
    assert caught.value.name == "actor.input_too_large"


def test_long_urls_are_not_remembered() -> None:
    before = targets._parse_cached.cache_info().currsize
    by_key(f"{GET}&a={'x' * 600}")
    assert targets._parse_cached.cache_info().currsize == before


# -- headers and subprotocols --------------------------------------------------------------------


def test_header_form() -> None:
    headers = {"x-rivet-target": "actor", "x-rivet-actor": ID}
    assert parse_header_target(headers, "/request/x", "a=%20") == GatewayRequest(
        ById(ID), "/request/x", "a=%20"
    )
    headers |= {"x-rivet-token": "t", "x-rivet-skip-ready-wait": "1"}
    assert parse_header_target(headers, "/request") == GatewayRequest(
        ById(ID), "/request", token="t", skip_ready_wait=True
    )
    assert parse_header_target({}, "/request") is None


@pytest.mark.parametrize(
    ("headers", "path", "name"),
    [
        ({"x-rivet-target": "actor", "x-rivet-actor": ID}, "/metadata", "guard.no_route"),
        ({"x-rivet-target": "actor", "x-rivet-actor": ID}, "/action/x", "guard.no_route"),
        ({"x-rivet-target": "actor", "x-rivet-actor": ID}, "/requests", "guard.no_route"),
        ({"x-rivet-target": "runner"}, "/request", "guard.no_route"),
        ({"x-rivet-target": "actor"}, "/request", "guard.missing_header"),
        ({"x-rivet-target": "actor", "x-rivet-actor": ""}, "/request", "guard.missing_header"),
    ],
)
def test_header_forms_that_are_refused(headers: dict[str, str], path: str, name: str) -> None:
    with pytest.raises(ActorError) as caught:
        parse_header_target(headers, path)
    assert caught.value.name == name


def test_subprotocol_form() -> None:
    offer = Subprotocols(target="actor", actor=ID, token="t", skip_ready_wait=True)
    assert parse_socket_target(offer, "/websocket/p", "q") == GatewayRequest(
        ById(ID), "/websocket/p", "q", token="t", skip_ready_wait=True
    )
    assert parse_socket_target(Subprotocols(actor=ID), "/connect") is None
    for refused, name in (
        (Subprotocols(target="runner", actor=ID), "guard.no_route"),
        (Subprotocols(target="actor"), "guard.missing_header"),
    ):
        with pytest.raises(ActorError) as caught:
            parse_socket_target(refused, "/connect")
        assert caught.value.name == name
