"""Workflows in loops, with steps that act outside: in their order, and no oftener than needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, Break, Continue, WorkflowContext, action, workflow
from rivetless.testing.simulation.checkers import workflows
from rivetless.testing.simulation.history import Subject
from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.weather import Fault
from tests.simulation.workloads.base import Program, Workload, outside

ERRANDS = 5
"""Iterations of the loop."""

STEPS = ("plan", "go", "tell")
"""What is done in each; the second acts outside, on what the first has just done."""

FAULTS = {Fault.DELAYED: 0.1}
"""Nothing is lost and nobody dies: whoever is late finds that others were here."""


class Done(BaseModel):
    log: list[str] = []
    touched: int = 0


class Errand(Actor[Done]):
    """Runs errands, one after the other, and forgets its history as it goes."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        last = await ctx.loop(
            "errands", self.one, state=0, history_prune_interval=2, history_size=1
        )
        await ctx.step("end", self.note, f"end {last}")

    async def one(self, ctx: WorkflowContext, number: int) -> Break[int] | Continue[int]:
        """Run one errand."""
        await ctx.step("plan", self.note, f"plan {number}")
        await ctx.step("go", self.go, f"go {number}")
        await ctx.step("tell", self.note, f"tell {number}")
        return Break(number) if number == ERRANDS - 1 else Continue(number + 1)

    async def go(self, what: str) -> None:
        """Act outside."""
        await outside("errand", f"{self.key[0]} {what}", what)
        self.state.log.append(what)

    async def note(self, what: str) -> None:
        self.state.log.append(what)

    @action
    async def touch(self) -> int:
        """Change the state beside the workflow, so that its steps conflict."""
        self.state.touched += 1
        return self.state.touched

    @action
    async def look(self) -> Done:
        """Return what became of it."""
        return self.state


class Errands(Workload):
    """One workflow, with calls beside it."""

    name = "errands"
    actors = (Errand,)
    processes = 2
    share = 0.25

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        return Deployment(
            actors=cls.actors, processes=cls.processes, resident=resident, faults=FAULTS
        )

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(dice.randint(4, 12)):
            await self.call(client, Errand, "a", "touch")
            await self.pause(dice.random() * 0.03)

    async def check(self) -> None:
        done: Done = await self.read(Errand, "a", "look")
        steps = [f"{what} {number}" for number in range(ERRANDS) for what in STEPS]
        subject = Subject("errand", ("a",))
        workflows.end_in({subject: [*steps, f"end {ERRANDS - 1}"]}, {subject: done.log})
        # Once before somebody was faster, and once more under the lease.
        gone = Counter(effect.key for effect in self.seen("errand"))
        self.must(max(gone.values()) <= 2, f"gone too often: {gone}")
        touches = self.calls("touch")
        self.must(done.touched == sum(one.ok for one in touches), f"{touches}, but {done}")
