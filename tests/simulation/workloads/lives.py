"""Actors that are destroyed and come again: no life sees anything of another."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.simulation.checkers import linearizability, models
from tests.simulation.workloads.base import Program, Workload

Life = tuple[str, int, int] | None
"""The id of the life there is, how often it was touched, and what its pair says."""


class Count(BaseModel):
    count: int = 0


class Mayfly(Actor[Count]):
    """Counts in its state and in a pair."""

    work = Queue[str]()

    @action
    async def touch(self) -> tuple[str, int, int]:
        """Count."""
        self.state.count += 1
        pairs = int(await self.kv.get("count") or "0") + 1
        await self.kv.put("count", str(pairs))
        return self.actor_id, self.state.count, pairs

    @action
    async def touch_later(self) -> tuple[str, int, int]:
        """Count, and plan to do it again after the end of this life, perhaps."""
        self.schedule.after(5.0, self.never)
        self.queue.send(self.work, "nobody takes it")
        return await self.touch()

    @action
    async def never(self) -> None:
        """Runs by itself, and changes nothing."""

    @action
    async def look(self) -> tuple[str, int, int]:
        """Return the counts."""
        return self.actor_id, self.state.count, int(await self.kv.get("count") or "0")

    @action
    async def fill(self) -> tuple[str, int, int]:
        """Leave much to be cleared away."""
        await self.kv.put_batch({f"pair {n}": "there" for n in range(60)})
        return await self.touch()

    @action
    async def end(self) -> str:
        """End this life."""
        self.destroy()
        return self.actor_id


WAYS = ("touch", "touch_later", "fill", "look", "end")


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
                return [((current, count, pairs, over), (current, count, pairs))]
            case _:
                after = (current, count + 1, pairs + 1)
                return [((*after, over), after)]


class Lives(Workload):
    """Touching and ending one actor, by its key."""

    name = "lives"
    actors = (Mayfly,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(dice.randint(2, 4)):
            way = dice.choices(WAYS, (3, 2, 1, 2, 2))[0]
            await self.call(client, Mayfly, "a", way)
            await self.pause(dice.random() * 0.4)

    async def check(self) -> None:
        await self.call("end", Mayfly, "a", "look")
        linearizability.check(self.of(Mayfly, "a"), _Lives())
