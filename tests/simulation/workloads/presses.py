"""Exclusive handlers act outside without a key, and no conflict or lost answer repeats that."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.simulation.history import Refused
from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.weather import RATES, Fault
from tests.simulation.workloads.base import Program, Workload, outside

INEVITABLE = frozenset(
    {
        Fault.DIED_BEFORE,
        Fault.DIED_AFTER,
        Fault.FROZE_BEFORE,
        Fault.FROZE_AFTER,
        Fault.DEPLOYED,
    }
)
"""What a lease cannot help against: a process that is dead, or stood still.

Clocks are wrong by less than a renewal comes before a lease's end.
"""


class Printed(BaseModel):
    sheets: list[str] = []


class Press(Actor[Printed]):
    """Prints, on a machine that knows no keys."""

    @action(exclusive=True)
    async def do(self, sheet: str, dries: float) -> int:
        """Print a sheet, perhaps for longer than a lease lasts."""
        await outside("print", sheet, sheet)
        await asyncio.sleep(dries)
        self.state.sheets.append(sheet)
        return len(self.state.sheets)

    @action
    async def stamp(self, sheet: str) -> int:
        """Change the state beside it."""
        self.state.sheets.append(sheet)
        return len(self.state.sheets)

    @action
    async def sheets(self) -> list[str]:
        """Return what was printed."""
        return self.state.sheets


class Presses(Workload):
    """Sheets printed one after the other, by several processes."""

    name = "presses"
    actors = (Press,)
    share = 0.25

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        rates = {fault: rate for fault, rate in RATES.items() if fault not in INEVITABLE}
        return Deployment(actors=cls.actors, resident=resident, faults=rates)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 4))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(1, 4)):
            sheet = f"{client}.{turn}"
            way = dice.choices(("do", "stamp", "sheets"), (4, 1, 1))[0]
            dries = dice.choice((0.0, 0.0, 0.01, 6.0))
            if way == "sheets":
                await self.call(client, Press, "a", "sheets")
            elif way == "stamp":
                await self.call(client, Press, "a", "stamp", sheet)
            else:
                await self.call(client, Press, "a", "do", sheet, dries)
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        sheets = await self.read(Press, "a", "sheets")
        self.must(len(set(sheets)) == len(sheets), f"there twice: {sheets}")
        # The machine has not done it again where it knew the sheet; here each call counts.
        printed = Counter(effect.value for effect in self.sim.history.effects)
        for call in [*self.calls("do"), *self.calls("stamp")]:
            sheet = str(call.args[0])
            if call.ok:
                self.must(sheet in sheets, f"acknowledged and not there: {call}, {sheets}")
            elif isinstance(call.outcome, Refused):
                self.must(sheet not in sheets, f"refused and there: {call}, {sheets}")
            if call.call == "do":
                self.must(printed[sheet] <= 1, f"printed {printed[sheet]} times: {call}")
                self.must(printed[sheet] == 1 or sheet not in sheets, f"not printed: {call}")
