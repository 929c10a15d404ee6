"""Sockets of functions: API Gateway tells late, twice, out of order or not at all of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar

from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, action
from rivetless.actor.context import Conn, RawWebSocket
from rivetless.hosts.aws_lambda.sockets import LIFETIME
from rivetless.testing.simulation.checkers import events
from rivetless.testing.simulation.history import EventSeen
from rivetless.testing.simulation.simulation import Deployment
from tests.simulation.workloads.base import Program, Workload

NOTICED = 1300.0
"""Seconds after which the end of a connection is noticed though nobody was told of it."""


class Visits(BaseModel):
    joined: list[str] = []
    left: list[str] = []
    said: list[str] = []
    raw: list[str] = []


class Said(BaseModel):
    number: int
    part: int
    text: str


class Gate(Actor[Visits]):
    """Writes down who comes, what they say and who goes."""

    said = Event[Said]()

    async def on_connect(self, conn: Conn[Any, Any]) -> None:
        if conn.params == {"socket": True}:
            self.state.joined.append(conn.id)

    async def on_disconnect(self, conn: Conn[Any, Any]) -> None:
        if conn.params == {"socket": True}:
            self.state.left.append(conn.id)

    async def on_websocket(self, websocket: RawWebSocket[Any, Any]) -> None:
        websocket.send("welcome")

    async def on_websocket_message(
        self, websocket: RawWebSocket[Any, Any], message: str | bytes
    ) -> None:
        self.state.raw.append(str(message))
        websocket.send(f"{message!s} is {len(self.state.raw)}")

    @action
    async def say(self, text: str) -> int:
        """Say something, in two parts."""
        self.state.said.append(text)
        number = len(self.state.said)
        for part in (1, 2):
            self.broadcast(self.said, Said(number=number, part=part, text=text))
        return number

    @action
    async def ring(self) -> None:
        """Ring the bell."""

    @action
    async def visits(self) -> dict[str, Any]:
        """Return all of it."""
        return self.state.model_dump()


class Porch(Actor[None]):
    """Writes nothing down, so that only the records of connections say who is there."""

    @action
    async def ring(self) -> None:
        """Ring the bell."""

    @action
    async def here(self) -> list[str]:
        """Return who is there."""
        return [conn.id async for conn in self.conns]


class Gates(Workload):
    """Clients with connections and raw sockets, in front of functions."""

    name = "gates"
    actors = (Gate, Porch)
    share: ClassVar[float] = 0.15

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        return Deployment(
            actors=cls.actors, processes=cls.processes, resident=False, api_gateway=True
        )

    def programs(self) -> Iterable[Program]:
        self.heard: dict[str, list[str]] = {}
        for n in range(1, self.between(2, 3) + 1):
            yield self.visitor(f"c{n}")
        yield self.raw("r1")
        yield self.passer("p1")

    async def visitor(self, client: str) -> None:
        dice = self.dice(client)
        gate = self.sim.client.with_options(
            self.sim.client.get_or_create(Gate, "a"), params={"socket": True}
        )
        # Some leave in the middle of something.
        patience = dice.choice((40.0, 40.0, dice.random()))
        with suppress(ActorError, TimeoutError):
            async with asyncio.timeout(patience), self.sim.client.connect(gate) as conn:
                conn.on(Gate.said, lambda said: None)
                for turn in range(dice.randint(2, 4)):
                    await conn.actor.say(f"{client}.{turn}")
                    await self.pause(dice.random() * 0.5)

    async def raw(self, client: str) -> None:
        dice = self.dice(client)
        gate = self.sim.client.with_options(
            self.sim.client.get_or_create(Gate, "a"), params={"socket": True}
        )
        heard = self.heard[client] = []
        with suppress(ActorError, TimeoutError):
            async with asyncio.timeout(40), self.sim.client.web_socket(gate) as socket:
                for turn in range(dice.randint(1, 3)):
                    await socket.send(f"{client}.{turn}")
                    heard.append(str(await socket.receive()))

    async def passer(self, client: str) -> None:
        dice = self.dice(client)
        places: tuple[type[Gate | Porch], ...] = (Gate, Porch)
        for _ in range(dice.randint(2, 5)):
            place = self.sim.client.with_options(
                self.sim.client.get_or_create(dice.choice(places), "a"), params={"socket": True}
            )
            with suppress(ActorError, TimeoutError):
                async with asyncio.timeout(dice.random()), self.sim.client.connect(place) as conn:
                    await conn.actor.ring()

    async def check(self) -> None:
        await self.sim.calm(NOTICED)
        visits: dict[str, list[str]] = await self.read(Gate, "a", "visits")
        here: list[str] = await self.read(Porch, "a", "here")
        if here or Counter(visits["joined"]) != Counter(visits["left"]):
            # Raw sockets are not asked whether they are still there before none can be.
            await self.sim.calm(LIFETIME)
            visits = await self.read(Gate, "a", "visits")
            here = await self.read(Porch, "a", "here")
        joined, left, said = visits["joined"], visits["left"], visits["said"]
        self.must(Counter(joined) == Counter(left), f"{joined} came, and {left} went")
        self.must(not here, f"still there: {here}")
        self.must(len(set(joined)) == len(joined), f"joined twice: {joined}")
        self.must(max(Counter(visits["raw"]).values(), default=0) <= 1, f"twice: {visits['raw']}")
        self.must(len(set(said)) == len(said), f"said twice: {said}")
        seen = self.sim.history.events
        events.at_most_once(seen, _which)
        events.committed(seen, lambda event: said[_number(event) - 1 :][:1] == [_text(event)])
        for one in seen:
            others = [o for o in seen if o.connection == one.connection and o.order < one.order]
            part = (_number(one), 2)
            self.must(
                _which(one) != (_number(one), 1) or all(_which(o) != part for o in others),
                f"{one} came after its second part",
            )


def _which(event: EventSeen) -> tuple[int, int]:
    return _number(event), int(str(_payload(event)["part"]))


def _payload(event: EventSeen) -> dict[str, object]:
    (payload,) = event.args
    assert isinstance(payload, dict)
    return payload


def _number(event: EventSeen) -> int:
    return int(str(_payload(event)["number"]))


def _text(event: EventSeen) -> str:
    return str(_payload(event)["text"])
