"""Actors that note what was done to them, so that anybody can count."""

from __future__ import annotations

from pydantic import BaseModel

from rivetless import Actor, Event, Queue, action, workflow
from rivetless.workflow.context import WorkflowContext


class Notes(BaseModel):
    """What was done, in order."""

    lines: list[str] = []
    wakes: int = 0


class Book(Actor[Notes]):
    """Takes notes in every way there is."""

    noted = Event[str]()
    mail = Queue[str]()

    async def on_wake(self) -> None:
        self.state.wakes += 1

    @action
    async def note(self, line: str) -> int:
        self.state.lines.append(line)
        self.broadcast(self.noted, line)
        return len(self.state.lines)

    @action
    async def note_and_fail(self, line: str) -> None:
        self.state.lines.append(line)
        self.broadcast(self.noted, line)
        raise ValueError(line)

    @action
    async def read(self) -> list[str]:
        return list(self.state.lines)

    @action
    async def fail_beyond(self, most: int) -> int:
        if len(self.state.lines) > most:
            raise ValueError(f"more than {most}")
        return len(self.state.lines)

    @action
    async def count(self) -> int:
        count = int(await self.kv.get("count") or 0) + 1
        await self.kv.put("count", str(count))
        return count

    @action
    async def counted(self) -> int:
        return int(await self.kv.get("count") or 0)

    @action
    async def tell(self, line: str) -> None:
        self.state.lines.append(line)
        await self.client.send(self.client.get_or_create(Reader, "a"), Reader.mail, line)

    @action
    async def note_there(self, line: str) -> int:
        number = await self.client.get_or_create(Book, "there").note(line)
        self.state.lines.append(line)
        return number

    @action
    async def note_later(self, seconds: float, line: str) -> str:
        return self.schedule.after(seconds, self.note, line)

    @action
    async def note_twice(self, line: str) -> None:
        self.state.lines.append(f"{line}:1")
        await self.save_state()
        self.state.lines.append(f"{line}:2")

    @action
    async def take(self) -> list[str]:
        message = await self.queue.next(self.mail, timeout=0)
        return [] if message is None else [message.body]

    @action
    async def leave(self, line: str) -> None:
        await self.client.send(self.client.get_or_create(Book, "heir"), Book.mail, line)
        self.destroy()

    @action
    async def life(self) -> str:
        return self.actor_id


class Reader(Actor[Notes]):
    """Notes what it is sent; fails at some of it."""

    mail = Queue[str]()
    questions = Queue[str, int]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.mail, self.questions):
            self.state.lines.append(message.body)
            if message.body.startswith("?"):
                # Of the two queues this one has replies, which checkers cannot tell from the text.
                message.complete(len(self.state.lines))  # type: ignore[call-overload]

    @action
    async def read(self) -> list[str]:
        return list(self.state.lines)


class Clerk(Actor[Notes]):
    """Works through its mail, step by step."""

    mail = Queue[str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.step("open", self.note, "open")
        await ctx.loop("mail", self.one, history_prune_interval=2, history_size=1)

    async def one(self, ctx: WorkflowContext) -> None:
        message = await ctx.queue.next("wait", self.mail)
        await ctx.step("note", self.note, message.body)
        await ctx.sleep("rest", 0.3)

    async def note(self, line: str) -> int:
        self.state.lines.append(line)
        return len(self.state.lines)

    @action
    async def read(self) -> list[str]:
        return list(self.state.lines)


class Trip(Actor[Notes]):
    """Fails in the end, and undoes what it has done."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        ctx.rollback_checkpoint("booking")
        for place in ("a", "b", "c"):
            await ctx.step(place, self.book, place, rollback=self.cancel)
        await ctx.step("pay", self.pay, retries=1)

    async def book(self, place: str) -> str:
        self.state.lines.append(place)
        return place

    async def cancel(self, place: str) -> None:
        self.state.lines.append(f"-{place}")

    async def pay(self) -> None:
        self.state.lines.append("paid")
        raise ValueError("no money")

    @action
    async def read(self) -> list[str]:
        return list(self.state.lines)


ACTORS = (Book, Reader, Clerk, Trip)
