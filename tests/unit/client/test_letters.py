"""``Client.dead_letters`` with mocks, and answers that make no sense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rivetless import Actor, ActorError, DeadLetter
from rivetless.client import Client, MockTransport
from rivetless.client.calls import ByKey, LetterQuery, LetterReplay, LettersPurge
from rivetless.client.letters import read_count, read_letters

LETTER = DeadLetter(
    "1.a", "send", "a", datetime(2024, 5, 1, tzinfo=UTC), 1, "auth.forbidden", "No.", b"[]"
)
SHOWN = {
    "letter_id": "1.a",
    "kind": "send",
    "source_id": "a",
    "dead_ts": 1_714_521_600_000,
    "attempts": 1,
    "error": {"group": "auth", "code": "forbidden", "message": "No."},
    "body": ["$Uint8Array", "W10="],
}


class Shop(Actor[None]):
    """Has letters."""


async def test_a_mock_answers() -> None:
    def answer(request: object) -> object:
        match request:
            case LetterQuery(kind="send"):
                return [LETTER]
            case LetterReplay(letter_id="1.a"):
                return True
            case LettersPurge(letter_id=None):
                return 7
        return None

    transport = MockTransport(answer)
    async with Client(transport=transport) as client:
        box = client.dead_letters(client.get(Shop, "a"))
        assert await box.list(kind="send") == [LETTER]
        assert await box.list(limit=3) == []
        assert await box.replay("1.a") is True
        assert await box.replay("1.b") is False
        assert await box.purge() == 7
        assert await box.purge("1.a") == 0
    target = ByKey("shop", ("a",))
    assert transport.requests == [
        LetterQuery(target, 100, "send"),
        LetterQuery(target, 3),
        LetterReplay(target, "1.a"),
        LetterReplay(target, "1.b"),
        LettersPurge(target),
        LettersPurge(target, "1.a"),
    ]


async def test_a_mock_without_answers_has_no_letters() -> None:
    async with Client(transport=MockTransport()) as client:
        box = client.dead_letters(client.get(Shop, "a"))
        assert (await box.list(), await box.replay("x"), await box.purge()) == ([], False, 0)


@pytest.mark.parametrize("limit", [0, 1001])
async def test_limits(limit: int) -> None:
    async with Client(transport=MockTransport()) as client:
        with pytest.raises(ValueError, match="from 1 to 1000"):
            await client.dead_letters(client.get(Shop, "a")).list(limit=limit)


async def test_what_has_letters_is_a_handle() -> None:
    async with Client(transport=MockTransport()) as client:
        with pytest.raises(TypeError):
            client.dead_letters("shop")


async def test_a_closed_client() -> None:
    client = Client(transport=MockTransport())
    handle = client.get(Shop, "a")
    await client.aclose()
    with pytest.raises(ActorError, match=r"client\.closed"):
        client.dead_letters(handle)


def test_letters_are_read() -> None:
    assert read_letters({"letters": [SHOWN]}) == [LETTER]


@pytest.mark.parametrize(
    "answer",
    [{}, {"letters": 5}, {"letters": [5]}, {"letters": [{**SHOWN, "error": None}]}]
    + [{"letters": [{k: v for k, v in SHOWN.items() if k != name}]} for name in SHOWN]
    + [{"letters": [{**SHOWN, "dead_ts": 1e300}]}],
)
def test_letters_that_make_no_sense(answer: dict[str, Any]) -> None:
    with pytest.raises(ActorError, match=r"client\.invalid_response"):
        read_letters(answer)


def test_counts() -> None:
    assert read_count({"purged": 3}, "purged") == 3
    with pytest.raises(ActorError, match=r"client\.invalid_response"):
        read_count({"purged": "3"}, "purged")
