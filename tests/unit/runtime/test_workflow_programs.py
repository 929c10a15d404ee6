"""Random workflows against an interpreter of ten lines; their processes die in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rivetless import Actor, Break, Continue, CriticalError, WorkflowContext, action, workflow
from rivetless.testing.rig import Rig

Node = tuple[Any, ...]

PROGRAMS: list[list[Node]] = []

leaves: st.SearchStrategy[Node] = st.one_of(
    st.tuples(st.just("step")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("sleep"), st.sampled_from([0, 1, 50])),
)
programs = st.recursive(
    st.lists(leaves, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            leaves,
            st.tuples(st.just("loop"), st.integers(1, 4), inner),
            st.tuples(st.just("join"), inner, inner),
            st.tuples(st.just("try"), inner),
        ),
        max_size=4,
    ),
    max_leaves=12,
)


def expected(program: list[Node], place: str = "") -> list[str]:
    """Say what a program writes, in some order."""
    found: list[str] = []
    for number, node in enumerate(program):
        here = f"{place}{number}"
        match node:
            case ("step",):
                found.append(here)
            case ("loop", int(times), inner):
                for turn in range(times):
                    found += expected(inner, f"{here}/~{turn}/")
            case ("join", left, right):
                found += expected(left, f"{here}/left/") + expected(right, f"{here}/right/")
            case ("try", inner):
                found += expected(inner, f"{here}/")
            case _:
                pass
    return found


class Lines(BaseModel):
    lines: list[str] = []


class Program(Actor[Lines]):
    """Runs the program that was made last."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await self.go(ctx, PROGRAMS[-1])

    async def go(self, ctx: WorkflowContext, program: list[Node]) -> None:
        for number, node in enumerate(program):
            name = str(number)
            match node:
                case ("step",):
                    place = f"{ctx.location}/{name}".lstrip("/")
                    assert await ctx.step(name, self.note, place) == place
                case ("fail",):
                    assert not (await ctx.try_step(name, self.fail)).ok
                case ("sleep", int(seconds)):
                    await ctx.sleep(name, seconds)
                case ("loop", int(times), inner):
                    await ctx.loop(name, self.loop(times, inner), state=0, history_prune_interval=2)
                case ("join", left, right):
                    await ctx.join(name, {"left": self.part(left), "right": self.part(right)})
                case ("try", inner):
                    assert (await ctx.try_(name, self.part(inner))).ok
                case _:
                    raise AssertionError(node)

    def part(self, program: list[Node]) -> Callable[[WorkflowContext], Awaitable[None]]:
        return lambda ctx: self.go(ctx, program)

    def loop(
        self, times: int, program: list[Node]
    ) -> Callable[[WorkflowContext, int], Awaitable[Break[None] | Continue[int]]]:
        async def iterate(ctx: WorkflowContext, turn: int) -> Break[None] | Continue[int]:
            await self.go(ctx, program)
            return Continue(turn + 1) if turn + 1 < times else Break()

        return iterate

    async def note(self, line: str) -> str:
        self.state.lines.append(line)
        return line

    async def fail(self) -> None:
        self.state.lines.append("never seen")
        raise CriticalError("no")

    @action
    async def read(self) -> list[str]:
        """Return what steps have done."""
        return self.state.lines


@settings(max_examples=60, deadline=None)
@given(programs, st.lists(st.integers(0, 90), max_size=6))
async def test_a_program_does_what_it_says(program: list[Node], deaths: list[int]) -> None:
    PROGRAMS.append(program)
    async with Rig() as rig:
        actor = rig.client.get_or_create(Program, "a")
        await actor.read()
        for seconds in deaths:
            await rig.advance(seconds)
            rig.restart()
        for _ in range(40):
            await rig.advance(70)
        assert sorted(await actor.read()) == sorted(expected(program))
