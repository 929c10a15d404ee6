"""Connections: events in order, once, of what was committed; subscriptions and their states."""

import asyncio
import itertools
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, action
from rivetless.testing.simulation.checkers import events
from rivetless.testing.simulation.history import EventSeen, Operation
from tests.simulation.workloads.base import Program, Workload


class Said(BaseModel):
    number: int
    text: str


class Lines(BaseModel):
    lines: list[str] = []


class Member(BaseModel):
    count: int = 0


class Room(Actor[Lines, Member]):
    """Tells everybody what is said, with a number that rises."""

    said = Event[Said]()

    async def create_conn_state(self, params: object) -> Member:
        return Member()

    @action
    async def say(self, text: str) -> int:
        """Say something."""
        self.state.lines.append(text)
        number = len(self.state.lines)
        self.broadcast(self.said, Said(number=number, text=text))
        return number

    @action
    async def say_in_vain(self, text: str) -> int:
        """Tell everybody, and fail."""
        self.state.lines.append(text)
        self.broadcast(self.said, Said(number=len(self.state.lines), text=text))
        raise RuntimeError("injected: it was not meant like that")

    @action
    async def count(self) -> int:
        """Count the calls of one connection, in its state."""
        self.conn.state.count += 1
        return self.conn.state.count

    @action
    async def everybody(self) -> int:
        """Count the calls that all connections have counted."""
        return sum([conn.state.count async for conn in self.conns])

    @action
    async def lines(self) -> list[str]:
        """Return what was said."""
        return self.state.lines


class Rooms(Workload):
    """Clients with connections, and some without, in one room."""

    name = "rooms"
    actors = (Room,)

    def programs(self) -> Iterable[Program]:
        yield self.speaker("c0")
        for n in range(1, self.between(2, 3) + 1):
            yield self.listener(f"c{n}")

    async def speaker(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 5)):
            way = "say" if dice.random() < 0.8 else "say_in_vain"
            await self.call(client, Room, "a", way, f"{client}.{turn}")
            await self.pause(dice.random() * 0.4)

    async def listener(self, client: str) -> None:
        dice = self.dice(client)
        room = self.sim.client.get_or_create(Room, "a")
        counts: list[int] = []
        try:
            async with asyncio.timeout(20), self.sim.client.connect(room) as conn:
                conn.on(Room.said, lambda said: None)
                for turn in range(dice.randint(2, 4)):
                    chance = dice.random()
                    if chance < 0.4:
                        counts.append(await conn.actor.count())
                    elif chance < 0.5:
                        await conn.actor.everybody()
                    else:
                        await conn.actor.say(f"{client}.{turn}")
                    await self.pause(dice.random() * 0.5)
        except (ActorError, TimeoutError):
            return
        finally:
            # A connection that was opened again begins anew.
            steps = itertools.pairwise([0, *counts])
            self.must(all(b > a or b == 1 for a, b in steps), f"a connection counted {counts}")

    async def check(self) -> None:
        lines: list[str] = await self.read(Room, "a", "lines")
        self.must(len(set(lines)) == len(lines), f"said twice: {lines}")
        seen = self.sim.history.events
        events.at_most_once(seen, _number)
        events.committed(seen, lambda event: lines[_number(event) - 1 :][:1] == [_text(event)])
        for operation in self.of(Room, "a"):
            if operation.call == "say":
                (text,) = operation.args
                if operation.ok:
                    at = lines[int(str(operation.value)) - 1 :][:1]
                    self.must(at == [text], f"acknowledged and not said: {operation}, {lines}")
                elif operation.refused:
                    self.must(text not in lines, f"refused and said: {operation}, {lines}")
            elif operation.call == "say_in_vain":
                self.must(operation.args[0] not in lines, f"failed and said: {operation}")
        events.before_reply(seen, self.of(Room, "a"), _caused)


def _payload(event: EventSeen) -> dict[str, object]:
    (payload,) = event.args
    assert isinstance(payload, dict)
    return payload


def _number(event: EventSeen) -> int:
    return int(str(_payload(event)["number"]))


def _text(event: EventSeen) -> str:
    return str(_payload(event)["text"])


def _caused(event: EventSeen, operation: Operation) -> bool:
    return (
        operation.call == "say"
        and event.client == operation.client
        and (_text(event) == operation.args[0])
    )
