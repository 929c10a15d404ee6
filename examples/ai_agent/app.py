"""An agent: prompts wait in a queue, tokens stream to whoever listens, and can be stopped."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

from rivetless import Actor, Event, Queue, action, setup


# --8<-- [start:models]
class Prompt(BaseModel):
    text: str = Field(min_length=1)


class Token(BaseModel):
    """A piece of an answer, as it comes."""

    prompt: int
    text: str


class Answer(BaseModel):
    prompt: int
    question: str
    text: str
    cancelled: bool = False


class Talk(BaseModel):
    """What lasts: the answers so far, and what somebody wants to be stopped."""

    answers: list[Answer] = []
    cancelled: list[int] = []


# --8<-- [end:models]


async def model(text: str) -> AsyncIterator[str]:
    """Stand in for a language model: says the words of the prompt backwards, one by one."""
    for word in reversed(text.split()):
        await asyncio.sleep(0)
        yield f"{word} "


# --8<-- [start:agent]
class Agent(Actor[Talk], icon="robot"):
    """One conversation. Its key is its name."""

    prompts = Queue[Prompt, Answer]()
    token = Event[Token]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.prompts):
            said: list[str] = []
            cancelled = False
            async for word in model(message.body.text):
                # The newest state at each look, while this unit has changed nothing itself.
                if cancelled := message.id in self.state.cancelled:
                    break
                said.append(word)
                # Nothing is uncommitted, so this goes out at once.
                self.broadcast(self.token, Token(prompt=message.id, text=word))
            answer = Answer(
                prompt=message.id,
                question=message.body.text,
                text="".join(said).strip(),
                cancelled=cancelled,
            )
            self.state.answers.append(answer)
            message.complete(answer)

    @action
    async def cancel(self, prompt: int) -> None:
        """Stop answering a prompt. Runs while the answer streams."""
        self.state.cancelled.append(prompt)

    # --8<-- [end:agent]

    @action
    async def answers(self) -> list[Answer]:
        """Return what was said so far."""
        return self.state.answers


registry = setup(use=[Agent])
