"""Tokens that stream, and a cancel that arrives meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from examples.ai_agent import app, client
from examples.ai_agent.app import Agent, Prompt, Token
from rivetless.testing.rig import Rig


class SlowModel:
    """A model that says a word only when the test lets it."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()

    async def __call__(self, text: str) -> AsyncIterator[str]:
        while (word := await self.words.get()) is not None:
            yield word


# --8<-- [start:test]
async def test_tokens_come_before_the_answer_is_whole(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SlowModel()
    monkeypatch.setattr(app, "model", model)
    agent = rig.client.get_or_create(Agent, "hamlet")
    async with rig.client.connect(agent) as conn:
        tokens = conn.events(Agent.token)
        await conn.actor.answers()
        asked = asyncio.ensure_future(
            rig.client.send_and_wait(agent, Agent.prompts, Prompt(text="?"), timeout=30)
        )
        for word in ("to", "be"):
            model.words.put_nowait(word)
            assert await anext(tokens) == Token(prompt=1, text=word)
        assert not asked.done()
        await conn.actor.cancel(1)  # while the answer streams
        model.words.put_nowait("or")
        answer = await asked
        assert (answer.text, answer.cancelled) == ("tobe", True)
        assert await conn.actor.answers() == [answer]


# --8<-- [end:test]


async def test_a_process_that_dies_begins_the_answer_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SlowModel()
    monkeypatch.setattr(app, "model", model)
    agent = rig.client.get_or_create(Agent, "hamlet")
    await rig.client.send(agent, Agent.prompts, Prompt(text="?"))
    model.words.put_nowait("half")
    await rig.settle()
    rig.restart()
    for word in ("whole", None):
        model.words.put_nowait(word)
    await agent.answers()
    await rig.settle()
    assert [answer.text for answer in await agent.answers()] == ["whole"]


async def test_over_a_socket(serve: Callable[[str], str]) -> None:
    words, answer = await client.main(serve("examples.ai_agent.app:registry"))
    assert words == ["be ", "to ", "not ", "or ", "be ", "to "]
    assert answer.text == "be to not or be to"
