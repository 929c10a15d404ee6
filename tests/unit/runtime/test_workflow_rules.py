"""The rules of workflows, one by one, on a clock that stands still."""

from __future__ import annotations

import gc
import json
import time
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import (
    Actor,
    Break,
    CriticalError,
    Failed,
    Queue,
    WorkflowContext,
    WorkflowEvent,
    action,
    workflow,
)
from rivetless.cli.workflows import forget
from rivetless.store.base import Collection
from rivetless.store.memory import CAPABILITIES, MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.workflow.export import Export, draw, replay
from rivetless.workflow.journal import Entry, Journal, from_seq, read_entry


class Lines(BaseModel):
    lines: list[str] = []
    fails: int = 0


class Written(Actor[Lines], abstract=True, sleep_timeout=30):
    """What the workflows of these tests have in common."""

    async def note(self, line: str) -> str:
        self.state.lines.append(line)
        return line

    async def fail(self) -> None:
        self.state.lines.append("never seen")
        raise ValueError("no")

    async def told(self, event: WorkflowEvent) -> None:
        again = " again" if event.will_retry else ""
        self.state.lines.append(f"{event.what} {event.attempt}{again}: {event.error}")

    @action
    async def read(self) -> list[str]:
        """Return what was written."""
        return self.state.lines

    @action
    async def doze(self) -> None:
        """Sleep."""
        self.sleep()


async def history(rig: Rig) -> dict[str, Entry]:
    (head,) = await rig.store.list("default", NAME, limit=1)
    records = await rig.store.records(head.actor_id, Collection.HISTORY)
    entries = [read_entry(record.key, record.data) for record in records]
    return {entry.location: entry for entry in entries}


NAME = "subject"


async def start(rig: Rig, cls: type[Any]) -> Any:
    actor = rig.client.get_or_create(cls, "a")
    await actor.read()
    await rig.settle()
    return actor


async def test_a_step_is_tried_again_with_growing_pauses(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow(on_error=Written.told)
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("fail", self.fail)

    actor = await start(rig, Subject)
    for seconds, lines in ((0.19, 1), (0.02, 2), (0.38, 2), (0.03, 3), (0.81, 5)):
        await rig.advance(seconds)
        assert len(await actor.read()) == lines
    assert await actor.read() == [
        *(f"step {n} again: ValueError: no" for n in (1, 2, 3)),
        "step 4: ValueError: no",
        "workflow 0: StepExhaustedError: the step `fail` failed 4 times: ValueError: no",
    ]
    await actor.doze()
    await rig.advance(60)
    assert len(await actor.read()) == 5  # it fails again, and nobody is told again
    entries = await history(rig)
    assert (entries["fail"].status, entries["fail"].attempts) == ("failed", 4)
    assert entries[""].status == "failed"


async def test_a_step_may_take_no_longer_than_its_timeout(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        async def hang(self) -> None:
            self.state.lines.append("never seen")
            await self.abort_signal.wait()

        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            result = await ctx.try_step("hang", self.hang, timeout=timedelta(seconds=5))
            assert isinstance(result, Failed)
            await ctx.step("note", self.note, f"{result.kind} {result.attempts}")

    actor = await start(rig, Subject)
    await rig.advance(6)
    assert await actor.read() == ["timeout 1"]


async def test_state_is_there_in_steps_only(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            try:
                self.state.lines.append("outside")
            except Exception as error:
                await ctx.step("note", self.note, str(error))

    actor = await start(rig, Subject)
    (line,) = await actor.read()
    assert "`self.state` is only available inside workflow steps" in line


async def test_what_is_not_awaited_is_named(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            ctx.step("first", self.note, "first")  # type: ignore[unused-awaitable]
            try:
                await ctx.step("second", self.note, "second")
            except Exception:
                await ctx.step("third", self.note, "hidden")

    actor = await start(rig, Subject)
    assert await actor.read() == []
    assert "step `second` began before step `first` was awaited" in caplog.text


async def test_python_does_not_complain_of_what_is_not_awaited(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            # What is in a circle is collected some time later, in an order that nobody knows.
            circle: list[Any] = [
                ctx.try_step("first", self.note, "first"),
                ctx.child("a").step("first", self.note, "first"),
                ctx.child("b").queue.next("first"),
                ctx.child("c").join("first", {}),
            ]
            circle.append(circle)

    await start(rig, Subject)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in seen] == []


async def test_two_things_of_one_name_are_refused(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("same", self.note, "one")
            await ctx.sleep("same", 1)

    actor = await start(rig, Subject)
    assert await actor.read() == ["one"]
    assert "two things called `same`: the second is a sleep" in caplog.text


async def test_other_code_than_history_has_is_refused(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    first = True

    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.loop("loop", self.iterate)

        async def iterate(self, ctx: WorkflowContext) -> Break[None] | None:
            if first:
                await ctx.step("old", self.note, "old")
            await ctx.sleep("wait", 60)
            return Break()

    actor = await start(rig, Subject)
    first = False
    await rig.advance(61)
    assert await actor.read() == ["old"]
    assert "History has a step `loop/~0/old` where the code has nothing of this name" in caplog.text
    assert 'ctx.removed("old", "step")' in caplog.text


async def test_versions_stay_what_they_were(rig: Rig) -> None:
    changed = False

    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            if changed and ctx.get_version("change", 2) == 2:
                await ctx.step("new", self.note, "new")
            await ctx.step("old", self.note, "old")
            await ctx.sleep("wait", 60)
            await ctx.step("end", self.note, "end")

    old = await start(rig, Subject)
    changed = True
    new = rig.client.get_or_create(Subject, "b")
    await new.read()
    await rig.advance(61)
    assert await old.read() == ["old", "end"]
    assert await new.read() == ["new", "old", "end"]


async def test_what_is_random_is_the_same_in_every_replay(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            seen = f"{ctx.uuid()} {ctx.random.random()} {ctx.now()}"
            await ctx.step("before", self.note, seen)
            await ctx.sleep("wait", 60)
            await ctx.step("after", self.note, seen)

    actor = await start(rig, Subject)
    await rig.advance(30)
    rig.restart()
    await rig.advance(61)
    before, after = await actor.read()
    assert before == after


async def test_history_of_a_loop_is_forgotten(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.loop("loop", self.iterate, history_prune_interval=5)

        async def iterate(self, ctx: WorkflowContext) -> Break[None] | None:
            line = await ctx.step("note", self.note, ctx.location)
            return Break() if line == "loop/~99" else None

    actor = await start(rig, Subject)
    await rig.advance(1)
    assert len(await actor.read()) == 100
    entries = await history(rig)
    assert set(entries) == {"", "loop", *(f"loop/~{n}/note" for n in range(95, 100))}


async def test_a_loop_may_forget_more_than_a_commit_takes() -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            for name in ("first", "second"):
                await ctx.loop(name, self.iterate, history_prune_interval=20, history_size=1)
            await ctx.step("end", self.note, "end")

        async def iterate(self, ctx: WorkflowContext) -> Break[None] | None:
            line = await ctx.step("note", self.note, ctx.location)
            return Break() if line.endswith("~50") else None

    clock = FakeClock()
    # Half of what a commit takes is left to what the step itself writes.
    narrow = replace(CAPABILITIES, max_commit_records=10)
    async with Rig(store=MemoryStore(clock=clock, capabilities=narrow), clock=clock) as rig:
        actor = await start(rig, Subject)
        await rig.advance(1)
        lines = await actor.read()
        assert len(lines) == len(set(lines)) == 2 * 51 + 1
        kept = {"", "end", "first", "first/~50/note", "second", "second/~50/note"}
        assert set(await history(rig)) == kept


async def test_a_wait_for_a_message_has_an_end(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        jobs = Queue[str]()

        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            missed = await ctx.queue.next("first", self.jobs, timeout=timedelta(days=2))
            await ctx.step("missed", self.note, str(missed))
            got = await ctx.queue.next_batch("second", self.jobs, count=2)
            await ctx.step("got", self.note, " ".join(message.body for message in got))

    actor = await start(rig, Subject)
    await rig.advance(timedelta(days=1))
    assert await actor.read() == []
    rig.restart()
    await rig.advance(timedelta(days=1, minutes=2))
    assert await actor.read() == ["None"]
    await rig.client.send(actor, Subject.jobs, "tea")
    await rig.settle()
    assert await actor.read() == ["None", "tea"]


async def test_a_failed_workflow_is_rolled_back_newest_first(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            ctx.rollback_checkpoint("begin")
            for name in ("hotel", "flight"):
                await ctx.step(name, self.note, name, rollback=self.undo)
            await ctx.step("pay", self.refuse)

        async def undo(self, line: str) -> None:
            self.state.lines.append(f"no {line}")

        async def refuse(self) -> None:
            raise CriticalError("card refused")

    actor = await start(rig, Subject)
    assert await actor.read() == ["hotel", "flight", "no flight", "no hotel"]
    rig.restart()
    assert await actor.read() == ["hotel", "flight", "no flight", "no hotel"]


async def test_a_rollback_needs_a_checkpoint(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("hotel", self.note, "hotel", rollback=self.undo)

        async def undo(self, line: str) -> None:
            self.state.lines.append(f"no {line}")

    actor = await start(rig, Subject)
    assert await actor.read() == []
    assert "no `ctx.rollback_checkpoint` came before it" in caplog.text


async def test_the_loser_of_a_race_leaves_nothing(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        jobs = Queue[str]()

        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            won = await ctx.race("race", {"job": self.job, "time": self.time})
            await ctx.step("won", self.note, f"{won.winner} {won.value}")

        async def job(self, ctx: WorkflowContext) -> str:
            return (await ctx.queue.next("job", self.jobs)).body

        async def time(self, ctx: WorkflowContext) -> str:
            await ctx.sleep("a day", 86_400)
            return "over"

    actor = await start(rig, Subject)
    await rig.client.send(actor, Subject.jobs, "tea")
    await rig.settle()
    assert await actor.read() == ["job tea"]
    assert set(await history(rig)) == {"", "race", "race/job/job", "won"}


async def test_all_branches_of_a_join_end_before_it_fails(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            result = await ctx.try_("try", self.both)
            assert isinstance(result, Failed)
            await ctx.step("note", self.note, f"{result.source} {result.name}")

        async def both(self, ctx: WorkflowContext) -> None:
            await ctx.join("join", {"bad": self.bad, "good": self.good})

        async def bad(self, ctx: WorkflowContext) -> None:
            await ctx.step("fail", self.fail, retries=0)

        async def good(self, ctx: WorkflowContext) -> None:
            await ctx.sleep("wait", 60)
            await ctx.step("good", self.note, "good")

    actor = await start(rig, Subject)
    assert await actor.read() == []
    await rig.advance(61)
    assert await actor.read() == ["good", "join join"]


async def exported(rig: Rig) -> Export:
    (head,) = await rig.store.list("default", NAME, limit=1)
    journal = Journal((await history(rig)).values())
    export = Export(head.actor_id, head.address, head.created_at, journal)
    return Export.from_json(json.loads(json.dumps(export.to_json())))


async def test_history_is_replayed_against_other_code(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("first", self.note, "first")
            await ctx.join("join", {"left": self.left, "right": self.right})
            await ctx.sleep("wait", 60)

        async def left(self, ctx: WorkflowContext) -> None:
            await ctx.step("left", self.note, "left")

        async def right(self, ctx: WorkflowContext) -> None:
            await ctx.sleep("a while", 1)
            await ctx.step("right", self.note, "right")

    class Renamed(Written, name="renamed"):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("second", self.note, "second")

    class Other(Written, name="other"):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.sleep("first", 60)

    await start(rig, Subject)
    await rig.advance(10)
    assert await replay(Subject.__definition__, await exported(rig)) is None
    problem = await replay(Renamed.__definition__, await exported(rig))
    assert problem == "history has a step `first` that the code did not come to"
    problem = await replay(Other.__definition__, await exported(rig))
    assert problem == "The code has a sleep `first` where history has a step."
    assert list(draw((await exported(rig)).journal)) == [
        "workflow under way",
        "├─ step first completed 0.000 s",
        "├─ join join completed 1.000 s",
        "│  ├─ step left/left completed 0.000 s",
        "│  ├─ sleep right/a while completed 1.000 s",
        "│  └─ step right/right completed 0.000 s",
        "└─ sleep wait pending",
    ]


async def test_a_workflow_is_run_again_from_a_step(rig: Rig) -> None:
    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            for name in ("one", "two", "three"):
                await ctx.step(name, self.note, name)
            await ctx.sleep("wait", 3600)

    actor = await start(rig, Subject)
    (head,) = await rig.store.list("default", NAME, limit=1)
    rig.restart()
    journal = Journal((await history(rig)).values())
    await forget(rig.store, head, from_seq(journal, "two"), now=rig.clock.now())
    await rig.advance(130)
    assert await actor.read() == ["one", "two", "three", "two", "three"]
    assert (await history(rig))["wait"].status == "pending"


@pytest.mark.timeout(120)
async def test_ten_thousand_steps_and_their_replay(rig: Rig) -> None:
    steps = 10_000

    class Subject(Written, name=NAME):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            for number in range(steps):
                await ctx.step(f"step {number}", self.count)
            await ctx.sleep("wait", 60)
            await ctx.step("end", self.note, "end")

        async def count(self) -> int:
            self.state.fails += 1
            return self.state.fails

    actor = await start(rig, Subject)
    while not (await history(rig)).get("wait"):
        await rig.settle()
    rig.restart()
    await rig.advance(61)
    assert await actor.read() == ["end"]
    export = await exported(rig)
    # Of its own time: what else the machine does is not counted.
    began = time.process_time()
    assert await replay(Subject.__definition__, export) is None
    assert time.process_time() - began < 5
