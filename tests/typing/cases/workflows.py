"""What both checkers see of workflows."""

from __future__ import annotations

from typing import reveal_type

from rivetless import Actor, Break, Continue, Failed, Queue, WorkflowContext, workflow


class Flow(Actor[int]):
    jobs = Queue[int, str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        count = await ctx.step("count", self.count, "text", 3, retries=5)
        reveal_type(count)  # assert-type: int
        await ctx.step("count", self.count, 3, 3)  # error
        tried = await ctx.try_step("tried", self.count, "text", 3)
        if isinstance(tried, Failed):
            reveal_type(tried.name)  # assert-type: str
        else:
            reveal_type(tried.value)  # assert-type: int
        reveal_type(await ctx.loop("loop", self.iterate))  # assert-type: str
        reveal_type(await ctx.loop("total", self.total, state=1))  # assert-type: float
        job = await ctx.queue.next("job", self.jobs)
        reveal_type(job.body)  # assert-type: int
        job.complete(3)  # error
        late = await ctx.queue.next("late", self.jobs, timeout=3)
        reveal_type(late)  # assert-type: Message[int, str] | None
        won = await ctx.race("race", {"a": self.branch, "b": self.branch})
        reveal_type(won.value)  # assert-type: bytes
        reveal_type(await ctx.join("join", {"a": self.branch}))  # assert-type: dict[str, bytes]

    async def count(self, text: str, number: int) -> int:
        return len(text) * number

    async def iterate(self, ctx: WorkflowContext) -> Break[str] | None:
        return Break("done")

    async def total(self, ctx: WorkflowContext, so_far: int) -> Break[float] | Continue[int]:
        return Continue(so_far + 1) if so_far < 10 else Break(1.0)

    async def branch(self, ctx: WorkflowContext) -> bytes:
        return b""
