"""A room whose members see what is said, and a bench that works through a queue and a timer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Event, Queue, action
from rivetless.testing.simulation import Simulation


class Said(BaseModel):
    lines: list[str] = []


class Room(Actor[Said]):
    """Keeps what is said, and tells whoever listens."""

    said = Event[list[Any]]()

    @action
    async def say(self, line: str) -> int:
        self.state.lines.append(line)
        self.broadcast(self.said, [line, len(self.state.lines)])
        return len(self.state.lines)

    @action
    async def lines(self) -> list[str]:
        return self.state.lines


class Work(BaseModel):
    done: list[str] = []
    rung: int = 0


class Bench(Actor[Work]):
    """Works through its queue; rings a minute later, once."""

    jobs = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            self.state.done.append(message.body)
            await self.save_state()

    @action
    async def ring_later(self, seconds: float) -> None:
        self.schedule.after(seconds, self.ring)

    @action
    async def ring(self) -> None:
        self.state.rung += 1

    @action
    async def look(self) -> list[Any]:
        return [self.state.done, self.state.rung]


async def meet(sim: Simulation) -> None:
    """Let some listen and some speak; what is heard was said, in that order."""
    heard: list[list[Any]] = []

    async def listen() -> None:
        async with sim.client.connect(sim.client.get_or_create(Room, "a")) as connection:
            connection.on(Room.said, heard.append)
            await sim.sleep(2)

    async def speak(who: int) -> None:
        room = sim.client.get_or_create(Room, "a")
        for number in range(6):
            await sim.sleep(0.3 * sim.random.random())
            await sim.attempt(room.say(f"{who}-{number}"))

    await sim.run(listen(), speak(1), speak(2))
    await sim.calm()
    lines = await sim.client.get_or_create(Room, "a").lines()
    for line, place in heard:
        assert lines[place - 1] == line, "an event told of what is not in the state"
    for seen in sim.history.events:
        assert isinstance(seen.args[0], list)


async def work(sim: Simulation) -> None:
    """Send jobs, set a timer: each takes effect once, or at most once if nobody knows."""
    bench = sim.client.get_or_create(Bench, "a")

    async def send(who: int) -> None:
        for number in range(5):
            await sim.attempt(sim.client.send(bench, Bench.jobs, f"{who}-{number}"))

    async def set_timer() -> None:
        await sim.attempt(bench.ring_later(3))

    await sim.run(send(1), send(2), set_timer())
    await sim.calm()
    done, rung = await bench.look()
    sent = [one for one in sim.history.operations if one.call == "enqueue"]
    acknowledged = {one.args[1] for one in sent if one.ok}
    refused = {one.args[1] for one in sent if one.refused}
    assert len(done) == len(set(done)), f"twice: {done}"
    assert acknowledged <= set(done), f"lost: {acknowledged - set(done)}"
    assert not refused & set(done), f"refused and done: {refused & set(done)}"
    (timer,) = (one for one in sim.history.operations if one.call == "ringLater")
    assert int(timer.ok) <= rung <= int(not timer.refused)
