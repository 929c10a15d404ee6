"""An expense that waits for somebody, for days if it has to."""

from datetime import timedelta

from pydantic import BaseModel

from rivetless import Actor, Queue, WorkflowContext, action, setup, workflow


class Decision(BaseModel):
    by: str
    approved: bool


class Expense(BaseModel):
    status: str = "waiting"
    reminders: int = 0


# --8<-- [start:approval]
class Approval(Actor[Expense]):
    """One expense that somebody has to approve."""

    decisions = Queue[Decision]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        for day in range(3):
            decision = await ctx.queue.next(f"day {day}", self.decisions, timeout=timedelta(days=1))
            if decision is not None:
                await ctx.step("decide", self.decide, decision.body)
                return
            await ctx.step(f"remind {day}", self.remind)
        await ctx.step("give up", self.give_up)

    async def decide(self, decision: Decision) -> None:
        verb = "approved" if decision.approved else "refused"
        self.state.status = f"{verb} by {decision.by}"

    async def remind(self) -> None:
        self.state.reminders += 1

    async def give_up(self) -> None:
        self.state.status = "expired"

    # --8<-- [end:approval]

    @action
    async def look(self) -> Expense:
        """Return what became of it."""
        return self.state


registry = setup(use=[Approval])
