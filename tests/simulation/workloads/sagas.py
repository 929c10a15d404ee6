"""Workflows: steps, rollbacks, branches, races, sleeps and messages end as they would in peace."""

from collections.abc import Awaitable, Callable, Iterable

from pydantic import BaseModel

from rivetless import Actor, CriticalError, Queue, WorkflowContext, action, workflow
from rivetless.testing.simulation.checkers import workflows
from rivetless.testing.simulation.history import Subject
from tests.simulation.workloads.base import Program, Workload


class Order(BaseModel):
    kind: str


class Progress(BaseModel):
    kind: str = "plain"
    log: list[str] = []
    touched: int = 0
    ended: bool = False


class Saga(Actor[Progress]):
    """One order."""

    decisions = Queue[str]()

    async def create_state(self, input: Order) -> Progress:
        return Progress(kind=input.kind)

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        kind = await ctx.step("kind", self.begin)
        if kind == "fails":
            ctx.rollback_checkpoint("begin")
            await ctx.step("reserve", self.note, "reserved", rollback=self.release)
            await ctx.step("charge", self.note, "charged", rollback=self.refund)
            await ctx.step("ship", self.fail)
        elif kind == "branches":
            names = ("a", "b", "c")
            await ctx.join("pages", {name: self.branch(name) for name in names})
        elif kind == "sleeps":
            await ctx.step("before", self.note, "before")
            await ctx.sleep("rest", 3.0)
            await ctx.step("after", self.note, "after")
        elif kind == "waits":
            decision = await ctx.queue.next("wait", self.decisions)
            await ctx.step("decide", self.decide, decision.body)
        elif kind == "gives up":
            await ctx.queue.next("wait", self.decisions, timeout=3.0)
            await ctx.step("decide", self.decide, None)
        else:
            for number in range(4):
                await ctx.step(f"step {number}", self.note, f"step {number}")
        await ctx.step("end", self.end)

    def branch(self, name: str) -> Callable[[WorkflowContext], Awaitable[None]]:
        """Make a branch of two steps."""

        async def steps(ctx: WorkflowContext) -> None:
            await ctx.step("first", self.note, f"{name}1", retries=10)
            await ctx.step("second", self.note, f"{name}2", retries=10)

        return steps

    async def begin(self) -> str:
        self.state.log.append("begun")
        return self.state.kind

    async def note(self, what: str) -> None:
        self.state.log.append(what)

    async def decide(self, decision: str | None) -> None:
        self.state.log.append("decided" if decision else "nobody came")

    async def fail(self) -> None:
        self.state.log.append("never")
        raise CriticalError("injected: it cannot be shipped")

    async def release(self, reservation: None) -> None:
        self.state.log.append("released")

    async def refund(self, payment: None) -> None:
        self.state.log.append("refunded")
        self.state.ended = True

    async def end(self) -> None:
        self.state.ended = True

    @action
    async def touch(self) -> int:
        """Change the state beside the workflow, so that its steps conflict."""
        self.state.touched += 1
        return self.state.touched

    @action
    async def look(self) -> Progress:
        """Return what became of it."""
        return self.state


KINDS = ("plain", "fails", "branches", "sleeps", "waits", "gives up")
ENDS = {
    "plain": ["begun", "step 0", "step 1", "step 2", "step 3"],
    "fails": ["begun", "reserved", "charged", "refunded", "released"],
    "gives up": ["begun", "nobody came"],
    "sleeps": ["begun", "before", "after"],
}


class Sagas(Workload):
    """Some orders at once, with calls beside them."""

    name = "sagas"
    actors = (Saga,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(1, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        kind = dice.choice(KINDS)
        handle = self.sim.client.get_or_create(Saga, client, input=Order(kind=kind))
        for _ in range(dice.randint(1, 4)):
            await self.sim.attempt(handle.touch())
            await self.pause(dice.random() * 0.3)
        if kind == "waits":
            await self.send(
                client,
                Saga,
                client,
                Saga.decisions,
                "yes",
                idempotency_key="k",
                tries=5,
                handle=handle,
            )
            await self.pause(dice.random())
            await self.sim.attempt(handle.touch())

    async def check(self) -> None:
        keys = sorted({one.actor.key[0] for one in self.all() if one.actor.name == "saga"})
        for key in keys:
            handle = self.sim.client.get(Saga, key)
            outcome = await self.sim.attempt(handle.look())
            if outcome_code(outcome) == "actor.not_found":
                self.must(not any(one.ok for one in self.of(Saga, key)), f"{key} is gone")
                continue
            progress = await handle.look()
            if not progress.ended:
                await self.pause(60.0)  # its time to wait may have begun just now
                progress = await handle.look()
            self.one(key, progress)

    def one(self, key: str, progress: Progress) -> None:
        """Check one order."""
        subject, log = Subject("saga", (key,)), progress.log
        workflows.steps_once(subject, log, [("begun", one) for one in log if one != "begun"])
        kind = progress.kind
        sends = [one for one in self.of(Saga, key) if one.call == "enqueue"]
        if kind != "waits" or any(one.ok for one in sends):
            self.must(progress.ended, f"{subject} never ended: {progress}")
        if kind in ENDS:
            workflows.end_in({subject: ENDS[kind]}, {subject: log})
        elif kind == "branches":
            steps = [f"{name}{number}" for name in "abc" for number in (1, 2)]
            workflows.end_in({subject: sorted(["begun", *steps])}, {subject: sorted(log)})
            workflows.steps_once(subject, log, [(f"{name}1", f"{name}2") for name in "abc"])
        else:
            decided = ["begun", "decided"] if progress.ended else ["begun"]
            workflows.end_in({subject: decided}, {subject: log})
        touches = [one for one in self.of(Saga, key) if one.call == "touch"]
        least = sum(one.ok for one in touches)
        most = sum(not one.refused for one in touches)
        self.must(least <= progress.touched <= most, f"{touches}, but {progress}")


def outcome_code(outcome: object) -> str:
    """Return the code of an outcome that is none."""
    return str(getattr(outcome, "code", ""))
