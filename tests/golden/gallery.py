"""Actors that leave something behind in every format that is stored; and their play.

What they do is known to the tests that read it again, in whatever version of the code. A change
here is made beside what there is: stored examples of released versions stay what they are.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Event, Queue, UserError, WorkflowContext, action, workflow
from rivetless.client import Connection
from rivetless.store.base import Changes, Host
from rivetless.testing.rig import Rig

LARGE = "large " * 200
"""Too large for the ring of replies in a head."""


LONG = "long " * 700
"""Too long for the row of a head, and (where they are made small) for an item."""


class Things(BaseModel):
    """A state of many types."""

    lines: list[str] = []
    calls: int = 0
    when: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    raw: bytes = b"\x00\xff"


class Guest(BaseModel):
    """What a connection keeps."""

    name: str = "nobody"


class Keeper(Actor[Things, Guest], sleep_timeout=10_000_000):
    """Has everything but a loop."""

    told = Event[str]()
    notes = Queue[str]()
    asks = Queue[str, str]()

    async def create_conn_state(self, params: Any) -> Guest:
        return Guest(name=params["name"] if params else "nobody")

    @action
    async def note(self, line: str) -> list[str]:
        """Write a line."""
        self.state.lines.append(line)
        return self.state.lines

    @action
    async def look(self) -> Things:
        """Show the state."""
        return self.state

    @action
    async def answer(self, size: str) -> str:
        """Answer, and count how often it was asked."""
        self.state.calls += 1
        return "small" if size == "small" else LARGE

    @action
    async def once_only(self) -> str:
        """Do something outside, once."""
        return await self.once("outside", self._outside)

    async def _outside(self) -> str:
        self.vars = (self.vars or 0) + 1
        return f"done {self.vars}"

    @action
    async def plan(self) -> str:
        """Plan one action, and one again and again."""
        self.cron.every("hourly", timedelta(hours=1), self.note, "cron")
        return self.schedule.after(timedelta(minutes=30), self.note, "scheduled")

    @action
    async def keep(self) -> None:
        """Keep pairs."""
        await self.kv.put("text", "value")
        await self.kv.put("bytes", b"\x00\x01")

    @action
    async def kept(self) -> list[Any]:
        """Show the pairs."""
        return [await self.kv.get("text"), list(await self.kv.get("bytes", type="binary") or b"")]

    @action
    async def take(self) -> list[str]:
        """Receive what is there."""
        found = await self.queue.try_next_batch(self.notes, count=10)
        return [message.body for message in found]

    @action
    async def who(self) -> list[str]:
        """Show the connections."""
        return [conn.state.name async for conn in self.conns]

    @action
    async def tell(self, text: str) -> None:
        """Tell those who listen."""
        self.broadcast(self.told, text)

    @action
    async def pass_on(self, text: str) -> None:
        """Send to an actor that cannot begin yet."""
        await self.client.send(self.client.get_or_create(Closed, "c"), Closed.letters, text)

    @action
    async def end(self) -> None:
        """End, with something still to be sent."""
        await self.pass_on("last words")
        self.destroy()

    @action
    async def vanish(self) -> None:
        """End."""
        self.destroy()

    @action(exclusive=True)
    async def hold(self) -> None:
        """Hold the actor until the process dies."""
        await asyncio.Event().wait()


class Gate:
    """Whether ``Closed`` can begin."""

    open = True


class Closed(Actor[Things]):
    """Takes letters, once it is open."""

    letters = Queue[str]()

    async def on_create(self, input: None) -> None:
        if not Gate.open:
            raise UserError("Not yet.", code="not_yet")

    async def run(self) -> None:
        async for message in self.queue.iter(self.letters):
            self.state.lines.append(message.body)

    @action
    async def lines(self) -> list[str]:
        """Show what came."""
        return self.state.lines


class Failing(Actor[Things]):
    """Cannot do what it is sent."""

    jobs = Queue[str, str](max_deliveries=1)

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs):
            raise UserError(f"no {message.body}", code="no")

    @action
    async def letters(self) -> list[str]:
        """Show what is dead."""
        return [f"{letter.kind} {letter.error}" for letter in await self.dead_letters.list()]


class Journey(Actor[Things]):
    """A workflow with entries of all kinds, in the middle of a night's rest."""

    asks = Queue[str, str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        ctx.get_version("change", 2)
        ctx.rollback_checkpoint("from here")
        await ctx.step("book", self.note, "booked", rollback=self.unbook)
        await ctx.loop("legs", self.leg, state=0)
        ask = await ctx.queue.next("ask", self.asks)
        await ctx.step("heard", self.note, f"heard {ask.body}")
        ask.complete("yes")
        await ctx.join("both", {"left": self.branch, "right": self.branch})
        await ctx.race("first", {"slow": self.slow, "quick": self.branch})
        await ctx.sleep("night", timedelta(hours=8))
        await ctx.step("arrive", self.note, "arrived")

    async def leg(self, ctx: WorkflowContext, count: int) -> Any:
        from rivetless import Break, Continue

        await ctx.step("go", self.note, f"leg {count}")
        return Break(count) if count == 1 else Continue(count + 1)

    async def branch(self, ctx: WorkflowContext) -> str:
        await ctx.step("in a branch", self.note, "branch")
        return "b"

    async def slow(self, ctx: WorkflowContext) -> str:
        await ctx.sleep("slow", timedelta(days=1))
        return "s"

    async def note(self, line: str) -> None:
        self.state.lines.append(line)

    async def unbook(self, result: object) -> None:
        self.state.lines.append("unbooked")

    @action
    async def lines(self) -> list[str]:
        """Show the way so far."""
        return self.state.lines


class Done(Actor[Things]):
    """A workflow that is over."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        """There is nothing to do."""

    @action
    async def look(self) -> Things:
        """Show the state."""
        return self.state


ACTORS: list[type[Actor[Any, Any, Any]]] = [Keeper, Closed, Failing, Journey, Done]


async def play(rig: Rig) -> Connection[Keeper]:
    """Leave something behind in every format; return a connection that is open."""
    client = rig.client
    Gate.open = False
    keeper = client.get_or_create(Keeper, ["a/b", "ü"])
    await keeper.note("first")
    for size in ("small", "large"):
        keyed = client.with_options(keeper, idempotency_key=size)
        await keyed.answer(size)
    await client.with_options(keeper, idempotency_key="once").once_only()
    await keeper.plan()
    await keeper.keep()
    for text in ("one", "two"):
        await client.send(keeper, Keeper.notes, text)
    await keeper.pass_on("letter")
    conn = client.connect(keeper, {"name": "ada"})
    conn.on(Keeper.told, lambda text: None)
    assert await conn.actor.who() == ["ada"]
    failing = client.get_or_create(Failing, "f")
    await client.send(failing, Failing.jobs, "job")
    journey = client.get_or_create(Journey, "j")
    await client.send(journey, Journey.asks, "may I")
    ending = client.get_or_create(Keeper, "ending")
    await ending.end()
    await client.get_or_create(Done, "d").look()
    await client.get_or_create(Keeper, "large").note(LONG)
    for _ in range(2):
        reborn = client.get_or_create(Keeper, "reborn")
        await reborn.vanish()
        await rig.settle()
    await client.get_or_create(Keeper, "reborn").note("again")
    await client.get_or_create(Keeper, "gone").vanish()
    coded = client.get_or_create(Keeper, "coded")
    await rig.store.commit(
        await client.resolve(coded), Changes("coded", touch=True, code_version=7), expected=1
    )
    await rig.settle()
    await rig.store.announce(Host("host-1", "http://127.0.0.1:1234", rig.clock.now() + 1e6))
    holding = asyncio.ensure_future(client.get_or_create(Keeper, "held").hold())
    HOLDING.add(holding)
    await rig.settle()
    return conn


HOLDING: set["asyncio.Future[None]"] = set()
"""Calls that do not end before their process does."""
