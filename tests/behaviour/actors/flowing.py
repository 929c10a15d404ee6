"""Workflows: what goes on where it was."""

from pydantic import BaseModel

from rivetless import Actor, Break, Event, Queue, UserError, WorkflowContext, action, workflow


class Log(BaseModel):
    lines: list[str] = []


class Pipeline(Actor[Log]):
    """Works through what it is sent, until it is told to stop."""

    jobs = Queue[str]()
    asks = Queue[str, str]()
    done = Event[str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.step("prepare", self.note, "prepared")
        await ctx.sleep("settle down", 0.15)
        last = await ctx.loop("jobs", self.take)
        ask = await ctx.queue.next("ask", self.asks)
        await ctx.step("answer", self.note, f"asked {ask.body}")
        ask.complete(f"{ask.body} after {last}")

    async def take(self, ctx: WorkflowContext) -> Break[str] | None:
        job = await ctx.queue.next("job", self.jobs)
        await ctx.step("work", self.work, job.body, backoff=0.01)
        return Break(job.body) if job.body == "last" else None

    async def note(self, line: str) -> None:
        self.state.lines.append(line)

    async def work(self, job: str) -> None:
        self.state.lines.append(job)
        self.broadcast(self.done, job)
        self.vars = (self.vars or 0) + 1
        if job == "hard" and self.vars % 2:
            raise UserError("not yet")

    @action
    async def read(self) -> list[str]:
        """Return what steps have done."""
        return self.state.lines

    @action
    async def doze(self) -> None:
        """Sleep."""
        self.sleep()
