"""Python's names and the wire's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.actor.names import class_name, did_you_mean, member_name, why_not


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Counter", "counter"),
        ("ChatRoom", "chatRoom"),
        ("HTTPProxy", "httpProxy"),
        ("URL", "url"),
        ("A", "a"),
        ("HTTP2Server", "http2Server"),
        ("chat_room", "chatRoom"),
        ("Chat_Room", "chatRoom"),
        ("_Private", "private"),
        ("Émile", "émile"),
        ("chatRoom", "chatRoom"),
    ],
)
def test_classes(name: str, wire: str) -> None:
    assert class_name(name) == wire


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("add", "add"),
        ("send_message", "sendMessage"),
        ("sendMessage", "sendMessage"),
        ("send_URL", "sendURL"),
        ("import_", "import"),
        ("get_2", "get2"),
        ("a__b", "aB"),
        ("_", "_"),
    ],
)
def test_members(name: str, wire: str) -> None:
    assert member_name(name) == wire


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True))
def test_every_identifier_has_a_name_that_stays(name: str) -> None:
    for convert in (class_name, member_name):
        wire = convert(name)
        assert wire
        assert convert(wire) == wire
        assert why_not(wire) is None


@pytest.mark.parametrize("name", ["chat-room", "users.add", "a_b", "$x", "größe", "x" * 64])
def test_allowed_names(name: str) -> None:
    assert why_not(name) is None


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a\n", "-x", "x" * 65, 5, "a@b", "a?b", "a#b"])
def test_refused_names(name: object) -> None:
    assert why_not(name)


def test_suggestions() -> None:
    known = ["on_connect", "on_disconnect", "create_state"]
    assert did_you_mean("on_conect", known) == " Did you mean `on_connect`?"
    assert did_you_mean("onConnect", known) == " Did you mean `on_connect`?"
    assert did_you_mean("create_invoice", known) == ""
