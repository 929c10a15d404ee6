"""What a handler asks wrongly is refused at once, with a sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.rig import Rig


class Log(BaseModel):
    seen: list[str] = []


class Asking(Actor[Log]):
    """Asks whatever a test wants to know."""

    notes = Queue[str]()
    sums = Queue[int, int]()

    @action
    async def ask(self, what: str) -> str:
        """Ask; return how it was refused."""
        try:
            answer = await QUESTIONS[what](self)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return repr(answer)

    @action
    async def untouched(self) -> list[str]:
        """Return what was left behind by what was refused."""
        planned = [str(each.id) for each in await self.schedule.list()]
        return planned + [key for key, _ in await self.kv.list()]

    async def no_action(self) -> None:
        """Nobody can call it."""

    async def put(self, value: Any) -> None:
        """Keep a value."""
        await self.kv.put("key", value)

    async def read_as(self, kind: Any) -> object:
        """Read a value as something."""
        await self.kv.put("key", "value")
        try:
            return await self.kv.get("key", type=kind)
        finally:
            await self.kv.delete("key")

    async def complete(self, *reply: Any) -> None:
        """Answer a message."""
        self.queue.send(self.sums, 1)
        await self.save_state()
        message: Any = await self.queue.next(self.sums, timeout=0, completable=True)
        message.complete(*reply)

    async def show(self) -> str:
        """Show a message, and its queue."""
        self.queue.send(self.sums, 1)
        await self.save_state()
        message = await self.queue.next(self.sums, timeout=0, completable=True)
        assert message is not None
        message.complete(2)
        return f"{message!r}, {self.sums!r}".replace(str(message.id), "ID", 1)

    async def refresh_after(self) -> None:
        """Change something, then ask for the newest state."""
        self.state.seen.append("lost")
        await self.refresh()


async def plan_at(actor: Asking) -> object:
    return actor.schedule.at(datetime(2030, 1, 1), actor.ask, "nothing")


async def plan(actor: Asking, what: Any) -> object:
    return actor.schedule.after(1, what)


QUESTIONS: dict[str, Callable[[Asking], Awaitable[object]]] = {
    "history": lambda actor: actor.cron.history("job", limit=0),
    "letters": lambda actor: actor.dead_letters.list(limit=0),
    "letter": lambda actor: actor.dead_letters.get("nobody's"),
    "pairs": lambda actor: actor.kv.list(limit=-1),
    "value": lambda actor: actor.put(5),
    "kind": lambda actor: actor.read_as("number"),
    "instant": plan_at,
    "plan": lambda actor: plan(actor, actor.no_action),
    "no reply": lambda actor: actor.complete(),
    "wrong reply": lambda actor: actor.complete("two"),
    "shown": lambda actor: actor.show(),
    "refresh": lambda actor: actor.refresh_after(),
}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("history", "ValueError: `limit` is 0"),
        ("letters", "ValueError: `limit` is 0"),
        ("letter", "None"),
        ("pairs", "ValueError: `limit` is 0 to"),
        ("value", "TypeError: Keys and values are str or bytes, not int."),
        ("kind", "ValueError: A type is 'text' or 'binary', not 'number'."),
        ("instant", "ValueError: Say which time zone"),
        ("plan", "TypeError: <bound method Asking.no_action"),
        ("no reply", "TypeError: The reply of the queue `sums` is missing."),
        ("wrong reply", "ActorError: actor.validation_error: The reply to a message"),
        ("shown", "'<Message ID of sums>, Queue[int, int]('sums')'"),
        ("refresh", "ActorError: actor.invalid_operation: "),
    ],
)
async def test_what_is_asked_wrongly(what: str, told: str) -> None:
    async with Rig() as rig:
        asking = rig.client.get_or_create(Asking, "a")
        assert (await asking.ask(what)).replace('"', "'").startswith(told)
        assert await asking.untouched() == []
