"""Connections: events in order, once, of what was committed, to all who listen; and their ends."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel

from rivetless import Actor, ActorError, Conn, Event, Queue, action
from rivetless.client.connection import Connection
from rivetless.runtime.sweeper import INTERVAL, LATE
from rivetless.store.base import Collection, Record
from rivetless.testing.simulation import Simulation
from rivetless.testing.simulation.checkers import events, queues
from rivetless.testing.simulation.history import EventSeen, Operation
from rivetless.testing.simulation.process import CURRENT
from rivetless.testing.simulation.weather import Fault
from tests.simulation.workloads.base import Program, Workload

HARMLESS: Final = frozenset(
    {
        Fault.DELAYED,
        Fault.ANSWER_DELAYED,
        Fault.STALE,
        Fault.SKEWED,
        Fault.BELL_LOST,
        Fault.BELL_DOUBLED,
        Fault.BELL_LATE,
    }
)
"""What loses no event, since nothing fails or ends by it."""

REAPED: Final = 25.0
"""Seconds after calm in which the connections of all hosts that died are closed."""

OF_CONNECTIONS: Final = (
    Collection.CONNECTION,
    Collection.CONN_STATE,
    Collection.SUBSCRIPTION,
    Collection.LISTENING,
)
"""What is written down of connections, and goes with them."""

LASTING: Final = 40.0
"""Seconds that whoever speaks pauses at most, where faults last long."""

TO_ARRIVE: Final = 5.0
"""Seconds in which all events are there, if nothing but delays happens."""

SOCKET: Final = "socket"
"""What those connect with who stay for more than one call."""


class Said(BaseModel):
    number: int
    text: str
    by: str


class Lines(BaseModel):
    lines: list[str] = []
    joined: list[str] = []
    left: list[str] = []
    counts: dict[str, int] = {}


class Member(BaseModel):
    count: int = 0


MemberT = TypeVar("MemberT")


class Place(Actor[Lines, MemberT, str | None], abstract=True):
    """Tells everybody what is said, with a number that rises."""

    said = Event[Said]()
    welcome = Event[str]()

    def tell(self, text: str) -> int:
        """Write something down and tell it."""
        self.state.lines.append(text)
        number, process = len(self.state.lines), CURRENT.get()
        by = "" if process is None else process.name
        self.broadcast(self.said, Said(number=number, text=text, by=by))
        return number

    def come(self, conn: Conn[MemberT, str | None]) -> None:
        """Greet somebody, and write it down."""
        if conn.params == SOCKET:
            self.state.joined.append(conn.id)
            conn.send(self.welcome, conn.id)

    def go(self, conn: Conn[MemberT, str | None]) -> None:
        """Write down that somebody has gone."""
        if conn.params == SOCKET:
            self.state.left.append(conn.id)

    @action
    async def say(self, text: str) -> int:
        """Say something."""
        return self.tell(text)

    @action
    async def say_in_vain(self, text: str) -> int:
        """Tell everybody, and fail."""
        self.tell(text)
        raise RuntimeError("injected: it was not meant like that")

    @action
    async def count(self) -> int:
        """Count the calls of one connection."""
        counted = self.state.counts.get(self.conn.id, 0) + 1
        self.state.counts[self.conn.id] = counted
        return counted

    @action
    async def count_all(self) -> None:
        """Count one more call for everybody."""
        async for conn in self.conns:
            self.state.counts[conn.id] = self.state.counts.get(conn.id, 0) + 1

    @action
    async def everybody(self) -> int:
        """Count those who are there."""
        return len([conn async for conn in self.conns])

    @action
    async def farewell(self) -> None:
        """Send something to all, so that those who are gone are found out."""
        async for conn in self.conns:
            conn.send(self.welcome, "and farewell")
        self.broadcast(self.welcome, "and farewell")
        self.broadcast(self.said, Said(number=0, text="", by=""))

    @action
    async def lines(self) -> Lines:
        """Return what was said, and who has come and gone."""
        return self.state


class Porch(Place[None]):
    """Greets, and writes down who comes and goes; its connections have no states."""

    async def on_connect(self, conn: Conn[None, str | None]) -> None:
        self.come(conn)

    async def on_disconnect(self, conn: Conn[None, str | None]) -> None:
        self.go(conn)


class Room(Place[Member]):
    """Counts in the states of its connections; has no hooks."""

    async def create_conn_state(self, params: str | None) -> Member:
        return Member()

    @action
    async def count(self) -> int:
        """Count the calls of one connection, in its state."""
        self.conn.state.count += 1
        return self.conn.state.count

    @action
    async def count_all(self) -> None:
        """Count one more call for everybody."""
        async for conn in self.conns:
            conn.state.count += 1

    @action
    async def everybody(self) -> int:
        """Count the calls that all connections have counted."""
        return sum([conn.state.count async for conn in self.conns])


class Hall(Room):
    """Greets, writes down who comes and goes, and reads letters out."""

    letters = Queue[str]()

    async def on_connect(self, conn: Conn[Member, str | None]) -> None:
        self.come(conn)

    async def on_disconnect(self, conn: Conn[Member, str | None]) -> None:
        self.go(conn)

    async def run(self) -> None:
        async for message in self.queue.iter(self.letters):
            self.tell(message.body)


class Rooms(Workload):
    """Clients with connections, and some without, in some place.

    Attributes:
        kinds: one of which it is in each seed.
        staying: the part of all seeds in which it is looked who has ended, and who listens then.
        lasting: the part in which faults last long enough for hosts to count as dead.
        forgetting: the part of those that it is looked at in which it is waited until none of the
            processes that ended is known any more.
        letters: the part of what is said that is sent, where it can be.
        speakers: how many speak without a connection.
    """

    name = "rooms"
    actors = (Room, Hall, Porch)
    kinds: ClassVar[Sequence[type[Place[Any]]]] = (Room, Room, Hall, Porch)
    staying: ClassVar = 0.3
    lasting: ClassVar = 0.05
    forgetting: ClassVar = 0.2
    letters: ClassVar = 0.2
    speakers: ClassVar = 1

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        dice = self.dice("room")
        self.room: type[Place[Any]] = dice.choice(self.kinds)
        self.stays = dice.random() < self.staying
        self.lasts = dice.random() < self.lasting
        self.forgets = dice.random() < self.forgetting

    def programs(self) -> Iterable[Program]:
        for n in range(self.speakers):
            yield self.speaker("ABC"[n])
        for n in range(1, self.between(2, 3) + 1):
            yield self.listener(f"c{n}")

    async def speaker(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 5)):
            chance, text = dice.random(), f"{client}.{turn}"
            if chance < self.letters and self.room is Hall:
                await self.send(client, Hall, "a", Hall.letters, text)
            elif chance < 0.2:
                await self.call(client, self.room, "a", "count_all")
            elif chance < 0.4:
                await self.call(client, self.room, "a", "say_in_vain", text)
            elif chance < 0.5:
                await self.call(client, self.room, "b", "say", text)
            else:
                await self.call(client, self.room, "a", "say", text)
            await self.pause(dice.random() * (LASTING if self.lasts else 0.4))

    async def listener(self, client: str) -> None:
        dice = self.dice(client)
        room = self.sim.client.get_or_create(self.room, "a")
        counts: list[int] = []
        try:
            async with asyncio.timeout(30), self.sim.client.connect(room, SOCKET) as conn:
                ears = _Ears(conn)
                counts.append(await conn.actor.count())
                since = self.sim.history.tick()
                for turn in range(dice.randint(1, 2)):
                    chance = dice.random()
                    if chance < 0.4:
                        counts.append(await conn.actor.count())
                    elif chance < 0.5:
                        await conn.actor.everybody()
                    elif chance < 0.7:
                        await _all(conn.actor.say(f"{client}.{turn}.{n}") for n in "123")
                    else:
                        await conn.actor.say(f"{client}.{turn}")
                    await self.pause(dice.random() * 0.5)
                until = self.sim.history.tick()
                if self._harmless():
                    await self.pause(TO_ARRIVE)
                if self._harmless():
                    self._heard(ears, since, until)
        except (ActorError, TimeoutError):
            return
        finally:
            # A connection that was opened again begins anew.
            steps = itertools.pairwise([0, *counts])
            self.must(all(b > a or b == 1 for a, b in steps), f"a connection counted {counts}")

    def _harmless(self) -> bool:
        return self.sim.world.network.counts.keys() <= HARMLESS

    def _heard(self, ears: _Ears, since: int, until: int) -> None:
        """Check that a connection has heard what was said while it listened."""
        self.must(self.room is Room or bool(ears.welcomes), "a connection was not welcomed")
        for one in self.of(self.room, "a"):
            if (
                one.call == "say"
                and one.ok
                and since < one.order
                and (one.order_ended or 0) < until
            ):
                self.must(one.args[0] in ears.heard, f"{ears.heard} has not heard {one}")

    async def check(self) -> None:
        state: Lines = await self.read(self.room, "a", "lines")
        lines, operations = state.lines, self.of(self.room, "a")
        self.must(len(set(lines)) == len(lines), f"said twice: {lines}")
        told = self._told("a")
        events.at_most_once(told, _number)
        events.committed(told, lambda event: lines[_number(event) - 1 :][:1] == [_text(event)])
        _in_order_of_each(told)
        for operation in operations:
            if operation.call == "say":
                (text,) = operation.args
                if operation.ok:
                    at = lines[int(str(operation.value)) - 1 :][:1]
                    self.must(at == [text], f"acknowledged and not said: {operation}, {lines}")
                elif operation.refused:
                    self.must(text not in lines, f"refused and said: {operation}, {lines}")
            elif operation.call == "say_in_vain":
                self.must(operation.args[0] not in lines, f"failed and said: {operation}")
        events.before_reply(told, operations, _caused)
        letters = [one for one in operations if one.call == "enqueue"]
        bodies = {one.args[1] for one in letters}
        queues.conserved(letters, [one for one in lines if one in bodies], message=_letter)
        if self.stays:
            await self.pause(REAPED)
            await self._listen_in_peace()
            await self._find_ended()
            if self.forgets:
                await self.pause(LATE + INTERVAL)
                await self._find_forgotten()

    def _told(self, key: str) -> list[EventSeen]:
        seen = self.sim.history.events
        return [one for one in seen if one.actor.key == (key,) and one.event == "said"]

    async def _listen_in_peace(self) -> None:
        """Check that whoever listens hears everything, in order, when nothing goes wrong."""
        room = self.sim.client.get_or_create(self.room, "b")
        texts = [f"end.{n}" for n in range(6)]
        async with self.sim.client.connect(room, SOCKET) as conn:
            ears = _Ears(conn)
            await conn.actor.count()
            for text in texts[:3]:
                await room.say(text)
            await _all(conn.actor.say(text) for text in texts[3:])
            await self.pause(0.1)
        self.must(sorted(ears.heard) == texts, f"{texts} was said, and {ears.heard} heard")
        _in_order_of_each(self._told("b"))
        self.must(ears.heard[:3] == texts[:3], f"heard in this order: {ears.heard}")
        self.must(self.room is Room or len(ears.welcomes) == 1, f"welcomed: {ears.welcomes}")

    async def _find_ended(self) -> None:
        """Check that the end of each connection was told, once, and who ended hears no more."""
        hosts = {process.host_id for process in self.sim.world.processes} | {"front"}
        opened = await self._records(Collection.CONNECTION)
        lost = [one for one in opened if one.host not in hosts]
        self.must(not lost, f"their hosts are no more, and these are open: {lost}")
        # Of those whose host lives and could not say that they ended, the next push finds out.
        await self.read(self.room, "a", "farewell")
        await self.pause(1.0)
        for collection in OF_CONNECTIONS:
            left = await self._records(collection)
            self.must(not left, f"all connections are closed, and these are left: {left}")
        state: Lines = await self.read(self.room, "a", "lines")
        self.must(
            sorted(state.joined) == sorted(state.left) and len(set(state.left)) == len(state.left),
            f"there came {state.joined}, and there went {state.left}",
        )

    async def _find_forgotten(self) -> None:
        """Check that no more is known of processes that ended than of those that never were."""
        alive = {process.host_id for process in self.sim.world.processes} - {""}
        known = {host.id for host in await self.sim.world.backend.plain.hosts()}
        self.must(known == alive, f"{alive} are alive, and {known} are known")

    async def _records(self, collection: Collection) -> list[Record]:
        store = self.sim.world.backend.plain
        heads = await store.list("default", self.room.__definition__.name, limit=9)
        return [one for head in heads for one in await store.records(head.actor_id, collection)]


class _Ears:
    """What a connection hears.

    Args:
        conn: the connection; it has just been opened.
    """

    def __init__(self, conn: Connection[Any]) -> None:
        self.heard: list[str] = []
        self.welcomes: list[str] = []
        conn.on(Place.said, lambda said: self.heard.append(said.text))
        conn.on(Place.welcome, self.welcomes.append)


async def _all(calls: Iterable[Awaitable[object]]) -> None:
    """Make several calls at once, and wait for all of them."""
    ended = await asyncio.gather(*calls, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each


def _in_order_of_each(told: Iterable[EventSeen]) -> None:
    """Check that no event overtakes another one of the same process."""
    streams: defaultdict[str, list[EventSeen]] = defaultdict(list)
    for event in told:
        streams[str(_payload(event)["by"])].append(event)
    for stream in streams.values():
        events.in_order(stream, _number)


def _letter(operation: Operation) -> str:
    return str(operation.args[1])


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
