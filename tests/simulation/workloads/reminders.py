"""Scheduled actions: planned, taken back, failing at first, planned by themselves."""

from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, FireInfo, action
from rivetless.testing.simulation.checkers import timers
from rivetless.testing.simulation.history import Operation
from tests.simulation.workloads.base import SKEW, Program, Workload

MOST_LOOKS = 60
"""Seconds in which everything that is planned after calm must ring."""

PUNCTUAL = SKEW + 1.0
"""Seconds by which a timer may be late where nothing goes wrong but the clocks."""

UNTROUBLED = {"again00": 0.5, "behind": 5.5}
"""What is planned when nothing goes wrong any more; the first plans others before the second."""


class Rung(BaseModel):
    ids: dict[str, str] = {}
    rung: list[tuple[str, float, float]] = []
    touched: int = 0


class Clockwork(Actor[Rung]):
    """Rings when it is told to."""

    @action
    async def plan(self, name: str, after: float) -> str:
        """Plan to ring."""
        self.state.ids[name] = self.schedule.after(after, self.ring, name)
        return self.state.ids[name]

    @action
    async def cancel(self, name: str) -> bool:
        """Take it back; tell whether it was still there."""
        planned = self.state.ids.get(name)
        return False if planned is None else await self.schedule.cancel(planned)

    @action
    async def touch(self) -> int:
        """Change the state, so that what rings conflicts."""
        self.state.touched += 1
        return self.state.touched

    @action
    async def ring(self, name: str, fire: FireInfo | None = None) -> None:
        """Ring."""
        assert fire is not None
        self.state.rung.append((name, fire.scheduled_at.timestamp(), fire.fired_at.timestamp()))
        if name.startswith("again") and len(name) < 9:
            self.schedule.after(0.5, self.ring, f"{name}+")
        late = fire.fired_at - fire.scheduled_at
        if name.startswith("fail") and late.total_seconds() < 2.0:
            raise RuntimeError("injected: it does not ring now")

    @action
    async def rung(self) -> list[tuple[str, float, float]]:
        """Return what has rung: name, when it was due, when it rang."""
        return self.state.rung

    @action
    async def planned(self) -> list[str]:
        """Return what is still to come."""
        return [str(each.args[0]) for each in await self.schedule.list()]


class Reminders(Workload):
    """Plans of two actors, some of them taken back."""

    name = "reminders"
    actors = (Clockwork,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(1, 3)):
            key = dice.choice("ab")
            kind = dice.choices(("", "fail", "again"), (5, 1, 1))[0]
            name = f"{kind}{client}.{turn}" if kind != "again" else f"again{client[1:]}{turn}"
            after = dice.choice((0.0, 0.2, 1.0, 3.0, 20.0))
            await self.call(client, Clockwork, key, "plan", name, after)
            await self.pause(dice.random() * 0.5)
            if dice.random() < 0.4:
                await self.call(client, Clockwork, key, "cancel", name)
            elif dice.random() < 0.5:
                await self.call(client, Clockwork, key, "touch")
            await self.pause(dice.random() * 1.5)

    async def check(self) -> None:
        untroubled = self.dice("untroubled").random() < 0.12
        for name, after in UNTROUBLED.items() if untroubled else ():
            await self.call("end", Clockwork, "c", "plan", name, after)
        for key in "abc" if untroubled else "ab":
            left = await self.read(Clockwork, key, "planned")
            for _ in range(MOST_LOOKS):
                if not left:
                    break
                await self.pause(1.0)  # what was late plans something in its turn
                left = await self.read(Clockwork, key, "planned")
            rung = await self.read(Clockwork, key, "rung")
            self.actor(key, rung)
            self.must(not left, f"still planned after calm: {left}")
            late = [name for name, due, at in rung if key == "c" and at > due + PUNCTUAL]
            self.must(not late, f"rang late although nothing went wrong: {late}, {rung}")

    def actor(self, key: str, rung: list[tuple[str, float, float]]) -> None:
        """Check the timers of one actor."""
        operations = self.of(Clockwork, key)
        plans: list[timers.Plan] = []
        chains: dict[str, float] = {}
        for operation in operations:
            if operation.call == "plan":
                name = str(operation.args[0])
                due = operation.began + float(str(operation.args[1]))
                cancels = tuple(one for one in operations if _cancels(one, name))
                plans.append(timers.Plan(name=name, due=due, planned=operation, cancelled=cancels))
                chains[name] = due
        fired = [timers.Fired(name, self.since_start(at)) for name, _, at in rung]
        first = [one for one in fired if "+" not in str(one.name)]
        timers.fire(plans, first, skew=SKEW)
        names = [name for name, _, _ in rung]
        for name in names:
            self.must(names.count(name) == 1, f"rang twice: {name}, {names}")
            if name.startswith("again") and len(name) < 9:
                self.must(f"{name}+" in names, f"{name} planned what never rang: {names}")
        for _, due, at in rung:
            self.must(at >= due - 0.001, f"rang before it was due: {rung}")


def _cancels(operation: Operation, name: str) -> bool:
    return operation.call == "cancel" and operation.args == (name,)
