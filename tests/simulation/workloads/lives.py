"""Actors that are destroyed and come again: no life sees anything of another."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, action
from rivetless.testing.simulation import Simulation
from rivetless.testing.simulation.checkers import linearizability, models
from rivetless.testing.simulation.history import Ok
from tests.simulation.workloads.base import Program, Workload

Life = tuple[str, int, int] | None
"""The id of the life there is, how often it was touched, and what its pair says."""


Seen = tuple[str, int, int, bool]
"""The same, and whether what the hook of this tenure has written is there."""


class Count(BaseModel):
    count: int = 0
    wakes: list[str] = []


class Tenure(BaseModel):
    mark: str = ""


class Mayfly(Actor[Count]):
    """Counts in its state and in a pair."""

    work = Queue[str]()

    def whole(self) -> bool:
        """Tell whether what was written on waking is there."""
        return True

    @action
    async def touch(self) -> Seen:
        """Count."""
        self.state.count += 1
        pairs = int(await self.kv.get("count") or "0") + 1
        await self.kv.put("count", str(pairs))
        return self.actor_id, self.state.count, pairs, self.whole()

    @action
    async def touch_later(self) -> Seen:
        """Count, and plan to do it again after the end of this life, perhaps."""
        self.schedule.after(5.0, self.never)
        self.queue.send(self.work, "nobody takes it")
        return await self.touch()

    @action
    async def never(self) -> None:
        """Runs by itself, and changes nothing."""

    @action
    async def look(self) -> Seen:
        """Return the counts."""
        pairs = int(await self.kv.get("count") or "0")
        return self.actor_id, self.state.count, pairs, self.whole()

    @action
    async def fill(self) -> Seen:
        """Leave much to be cleared away."""
        await self.kv.put_batch({f"pair {n}": "there" for n in range(60)})
        return await self.touch()

    @action
    async def end(self) -> str:
        """End this life."""
        self.destroy()
        return self.actor_id


class Dayfly(Mayfly):
    """Writes down when it wakes."""

    vars: Tenure

    async def create_vars(self) -> Tenure:
        return Tenure()

    async def on_wake(self) -> None:
        self.vars.mark = self.turn_id
        self.state.wakes.append(self.turn_id)

    def whole(self) -> bool:
        """Tell whether what was written on waking is there."""
        return self.vars.mark in self.state.wakes


ASKING = 0.2
"""How often somebody looks lives up."""

WAYS = ("touch", "touch_later", "fill", "look", "end", "renew")


class _Lives(models.BaseModel[Any]):
    """One life after the other; the ids of those that are over, and of the one there is.

    A life that a call of unknown outcome began has no id yet; the first answer names it.
    """

    def initial(self) -> Any:
        return None, 0, 0, frozenset[str]()

    def apply(self, state: Any, operation: Any, /) -> Any:
        current, count, pairs, over = state
        value = operation.value
        answered = value if isinstance(value, str) else value[0] if value else None
        if current is None:
            current, count, pairs = "?", 0, 0
        if answered is not None:
            if answered in over or current not in ("?", answered):
                return []
            current = answered
        match operation.call:
            case "end":
                gone = over if current == "?" else over | {current}
                return [((None, 0, 0, gone), current)]
            case "look":
                return [((current, count, pairs, over), (current, count, pairs, True))]
            case _:
                after = (current, count + 1, pairs + 1)
                return [((*after, over), (*after, True))]


class Lives(Workload):
    """Touching and ending one actor, by its key."""

    name = "lives"
    actors = (Mayfly, Dayfly)
    kinds: ClassVar[Sequence[type[Mayfly]]] = (Mayfly, Mayfly, Dayfly)

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        self.fly = self.dice("kind").choice(self.kinds)
        self.over: set[str] = set()

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 4)):
            way = dice.choices(WAYS, (3, 2, 1, 2, 2, 0.5))[0]
            # Who renews leaves much to the next life, which begins before it is cleared away.
            for call in ("fill", "end", "touch") if way == "renew" else (way,):
                outcome = await self.call(client, self.fly, "a", call)
                if call == "end" and isinstance(outcome, Ok):
                    self.over.add(str(outcome.value))
            await self.pause(dice.random() * 0.4)
            if self.dice(f"{client} asks {turn}").random() < ASKING:
                await self.ask_server()

    async def ask_server(self) -> None:
        """Look lives up as an administrator does."""
        name, over = self.fly.__definition__.name, ",".join(self.over)
        named = [one for one, _ in await self._listed(f"name={name}&include_destroyed=true")]
        self.must(len(set(named)) == len(named), f"a life is listed twice: {named}")
        if over:
            alive = [one for one, ended in await self._listed(f"actor_ids={over}") if not ended]
            self.must(not alive, f"these are over, and were found alive: {alive}")

    async def _listed(self, query: str) -> list[tuple[str, bool]]:
        """Return ids, and whether their lives are over; nothing if there was no answer."""
        with suppress(ActorError):
            answer = await self.sim.request("GET", f"/actors?namespace=default&{query}")
            if answer.ok:
                found = answer.json()["actors"]
                return [(one["actor_id"], one["destroy_ts"] is not None) for one in found]
        return []

    async def check(self) -> None:
        await self.call("end", self.fly, "a", "look")
        linearizability.check(self.of(self.fly, "a"), _Lives())
