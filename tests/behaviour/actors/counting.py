"""State and actions: counters, notes, rich values."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypedDict

from rivetless import Actor, Event, UserError, action


class CounterState(BaseModel):
    count: int = 0


class Counter(Actor[CounterState]):
    """A counter."""

    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        """Add ``amount`` and tell everybody."""
        self.state.count += amount
        self.broadcast(self.changed, self.state.count)
        return self.state.count

    @action
    async def get(self) -> int:
        """Return the count."""
        return self.state.count

    @action
    async def replace(self, count: int) -> int:
        """Put another state in place of this one."""
        self.state = CounterState(count=count)
        return self.state.count

    @action
    async def increment_and_refuse(self) -> int:
        """Change the state, tell everybody, and refuse after all."""
        self.state.count += 1
        self.broadcast(self.changed, self.state.count)
        raise UserError("Not today.", code="not_today", metadata={"count": self.state.count})

    @action
    async def increment_and_crash(self) -> int:
        """Change the state, tell everybody, and fail."""
        self.state.count += 1
        self.broadcast(self.changed, self.state.count)
        raise ZeroDivisionError("a secret of the server")

    @action
    async def announce(self, number: int) -> None:
        """Tell everybody without a change."""
        self.broadcast(self.changed, number)

    @action
    async def doze(self) -> None:
        """End this process's tenure."""
        self.sleep()

    @action
    async def end(self) -> None:
        """Be destroyed."""
        self.destroy()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Pet(BaseModel):
    name: str
    legs: int = 4


class ProfileState(BaseModel):
    name: str = ""
    born: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    picture: bytes = b""
    tags: set[str] = set()
    scores: dict[str, int] = {}
    pets: list[Pet] = []
    colour: Colour = Colour.RED
    big: int = 0
    price: Decimal = Decimal("0")
    token: UUID | None = None
    ratio: float = 0.0


class Profile(Actor[ProfileState]):
    """Keeps values of many types."""

    @action
    async def put(self, profile: ProfileState) -> None:
        """Store a whole profile."""
        self.state = profile

    @action
    async def get(self) -> ProfileState:
        """Return it."""
        return self.state

    @action
    async def adopt(self, pet: Pet) -> int:
        """Change deep inside."""
        self.state.pets.append(pet)
        self.state.tags.add("owner")
        self.state.scores["pets"] = len(self.state.pets)
        return len(self.state.pets)

    @action
    async def doze(self) -> None:
        """End this process's tenure."""
        self.sleep()


class Entry(TypedDict):
    text: str
    done: bool


class Notes(Actor[dict[str, Entry]]):
    """State that is a plain dict."""

    @action
    async def write(self, name: str, text: str) -> int:
        """Add an entry."""
        self.state[name] = {"text": text, "done": False}
        return len(self.state)

    @action
    async def finish(self, name: str) -> None:
        """Change one in place."""
        self.state[name]["done"] = True

    @action
    async def read(self) -> dict[str, Entry]:
        """Return them all."""
        return self.state


class Stateless(Actor):
    """Has no state at all."""

    @action
    async def ping(self) -> str:
        """Answer."""
        return "pong"

    @action
    async def touch(self) -> Any:
        """Use what is not there."""
        return self.state


class SeedInput(BaseModel):
    name: str
    start: int = 1


class SeededState(BaseModel):
    made_from: SeedInput | None
    seen_on_create: SeedInput | None = None
    created: int = 0


class Seeded(Actor[SeededState]):
    """Made from an input."""

    async def create_state(self, input: SeedInput | None) -> SeededState:
        if input is not None and input.start < 0:
            raise UserError("Cannot start below zero.", code="bad_start")
        return SeededState(made_from=input)

    async def on_create(self, input: SeedInput | None) -> None:
        self.state.seen_on_create = input
        self.state.created += 1

    @action
    async def read(self) -> SeededState:
        """Return what the hooks saw."""
        return self.state

    @action
    async def end(self) -> None:
        """Be destroyed."""
        self.destroy()


class WatchedState(BaseModel):
    value: int = 0
    items: list[int] = []


class Watched(Actor[WatchedState]):
    """Counts its own state changes."""

    class Seen:
        calls = 0
        last: int | None = None

    vars: Seen
    told = Event[int]()

    async def create_vars(self) -> Seen:
        return Watched.Seen()

    def on_state_change(self, state: WatchedState) -> None:
        if state.value == 666:
            state.value = 0
        self.vars.calls += 1
        self.vars.last = state.value
        self.broadcast(self.told, state.value)

    @action
    async def set_value(self, value: int) -> None:
        """One change."""
        self.state.value = value

    @action
    async def burst(self, times: int) -> None:
        """Many changes in one turn."""
        for number in range(times):
            self.state.items.append(number)
            self.state.value += 1

    @action
    async def read(self) -> int:
        """No change."""
        return self.state.value + len(self.state.items)

    @action
    async def computed(self) -> int:
        """No change either."""
        return sum(list(self.state.items))

    @action
    async def seen(self) -> tuple[int, int | None]:
        """Return how often the hook ran, and on what."""
        return self.vars.calls, self.vars.last
