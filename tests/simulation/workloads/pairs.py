"""KV pairs: moved, listed and changed in one commit with the state."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, UserError, action
from rivetless.testing.simulation.checkers import linearizability, models
from rivetless.testing.simulation.history import Refused
from tests.simulation.workloads.base import Program, Workload

Pairs = tuple[int, frozenset[tuple[str, int]]]


class Changes(BaseModel):
    count: int = 0


class Shelf(Actor[Changes]):
    """Values by name; the state counts some of the changes."""

    @action
    async def put(self, name: str, value: int) -> int:
        """Put a value there."""
        await self.kv.put(name, str(value))
        self.state.count += 1
        return self.state.count

    @action
    async def put_quietly(self, name: str, value: int) -> None:
        """Put a value there and leave the state alone."""
        await self.kv.put(name, str(value))

    @action
    async def move(self, old: str, new: str) -> bool:
        """Move a value, in one commit; tell whether there was one."""
        value = await self.kv.get(old)
        if value is None:
            return False
        await self.kv.delete(old)
        await self.kv.put(new, value)
        return True

    @action
    async def drop(self, name: str) -> int:
        """Take a value away, whether or not there is one."""
        await self.kv.delete(name)
        self.state.count += 1
        return self.state.count

    @action
    async def put_and_fail(self, name: str) -> None:
        """Change everything, and fail."""
        await self.kv.put(name, "-1")
        self.state.count += 100
        raise UserError("No.", code="no")

    @action
    async def get(self, name: str) -> int | None:
        """Return a value."""
        value = await self.kv.get(name)
        return None if value is None else int(value)

    @action
    async def all(self) -> tuple[int, dict[str, int]]:
        """Return the count of changes and all pairs, as one snapshot."""
        return self.state.count, {name: int(value) for name, value in await self.kv.list()}


class _Shelf(models.BaseModel[Pairs]):
    """What a shelf does."""

    def initial(self) -> Pairs:
        return 0, frozenset()

    def call_put(self, state: Pairs, name: str, value: int) -> tuple[Pairs, object]:
        return (state[0] + 1, _with(state, name, value)), state[0] + 1

    def call_put_quietly(self, state: Pairs, name: str, value: int) -> tuple[Pairs, object]:
        return (state[0], _with(state, name, value)), None

    def call_move(self, state: Pairs, old: str, new: str) -> tuple[Pairs, object]:
        pairs = dict(state[1])
        if old not in pairs:
            return state, False
        pairs[new] = pairs.pop(old)
        return (state[0], frozenset(pairs.items())), True

    def call_drop(self, state: Pairs, name: str) -> tuple[Pairs, object]:
        pairs = dict(state[1])
        pairs.pop(name, None)
        return (state[0] + 1, frozenset(pairs.items())), state[0] + 1

    def call_put_and_fail(self, state: Pairs, name: str) -> tuple[Pairs, object]:
        return state, Refused("user.no")

    def call_get(self, state: Pairs, name: str) -> tuple[Pairs, object]:
        return state, dict(state[1]).get(name)

    def call_all(self, state: Pairs) -> tuple[Pairs, object]:
        return state, (state[0], dict(state[1]))


def _with(state: Pairs, name: str, value: int) -> frozenset[tuple[str, int]]:
    return frozenset({**dict(state[1]), name: value}.items())


class Shelves(Workload):
    """Reading and writing pairs of one actor."""

    name = "pairs"
    actors = (Shelf,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 4))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 5)):
            name, other = dice.choice("xyz"), dice.choice("xyz")
            value = int(client[1:]) * 100 + turn
            calls: list[tuple[Any, ...]] = [
                ("put", name, value),
                ("put_quietly", name, value),
                ("move", name, other),
                ("drop", name),
                ("put_and_fail", name),
                ("get", name),
                ("all",),
            ]
            weights = (3, 2, 3, 1, 1, 1, 2)
            await self.call(client, Shelf, "a", *dice.choices(calls, weights)[0])
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        await self.call("end", Shelf, "a", "all")
        linearizability.check(self.of(Shelf, "a"), _Shelf(user_errors=("user.no",)))
