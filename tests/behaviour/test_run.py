"""``run``: a loop beside the calls, begun again at each wake, that loses and repeats nothing."""

import asyncio
from typing import Any

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Journal
from tests.behaviour.actors.queueing import Brief, Streamer, Task, Ticker, Worker
from tests.behaviour.cells import IN_MEMORY, RESIDENT
from tests.behaviour.world import Ear, RigWorld, World


async def test_a_loop_begins_with_the_actor(world: World) -> None:
    ticker = world.client.get_or_create(Ticker, world.key)
    count, lines = await world.eventually(ticker.read, lambda seen: seen[0] > 2)
    assert set(lines) == {"wake"}
    assert count > 2


async def test_messages_are_consumed_in_order(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    for number in range(3):
        await world.client.send(worker, Worker.notes, str(number))
    await worker.fill(3)
    lines = await world.eventually(worker.read, lambda lines: lines.count("note:2") == 2)
    notes = [line for line in lines if line.startswith("note")]
    assert notes == [f"note:{n}" for n in (0, 1, 2, 0, 1, 2)]
    assert await worker.counted() == 6


async def test_a_loop_answers(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    replies = await asyncio.gather(
        *(
            world.client.send_and_wait(worker, Worker.tasks, Task(text="x" * n), timeout=10)
            for n in range(1, 4)
        )
    )
    assert replies == [1, 2, 3]


async def test_events_of_a_loop_come_with_its_commit(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    async with world.client.connect(world.client.get_or_create("worker", world.key)) as conn:
        heard, opened = Ear(), Ear()
        conn.on("done", heard)
        conn.on_open(opened)
        await opened.wait()
        await conn.actor.read()
        await world.client.send(worker, Worker.tasks, Task(text="a"))
        await heard.wait_for("a")
        assert "task:a" in await worker.read()


@RESIDENT
async def test_a_loop_that_waits_lets_the_actor_sleep(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    await world.client.send(worker, Worker.notes, "a")
    await world.eventually(worker.read, lambda lines: "note:a" in lines)
    async with world.client.connect(world.client.get_or_create("worker", world.key)) as conn:
        heard = Ear()
        conn.on("sleeping", heard)
        await conn.actor.read()
        await world.elapse(0.5, heard.wait())
    await world.client.send(worker, Worker.notes, "b")
    lines = await world.eventually(worker.read, lambda lines: "note:b" in lines)
    assert lines.index("note:a") < lines.index("sleep") < lines.index("note:b")
    assert lines.count("wake") == lines.count("sleep") + 1


async def test_a_process_that_forgets_goes_on(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    for number in range(5):
        await world.client.send(worker, Worker.notes, str(number))
        await world.forget(worker)

    async def look() -> list[str]:
        # Another process's claim to the loop has to run out first.
        if isinstance(world, RigWorld):
            # In steps so small that the actor does not sleep before its loop goes on, which it does
            # as quickly as the store answers.
            await world.rig.advance(0.1)
            await asyncio.wait({asyncio.ensure_future(world.rest())}, timeout=1)
        # So has a lease, if the process was forgotten while it held one.
        return await world.elapse(1, worker.read())

    lines = await world.eventually(look, lambda lines: "note:4" in lines)
    assert [line for line in lines if "note" in line] == [f"note:{n}" for n in range(5)]
    assert await worker.counted() == 5


@RESIDENT
@pytest.mark.parametrize("how", ["returns", "fails"])
async def test_a_loop_that_ends_is_not_begun_again_at_once(world: World, how: str) -> None:
    brief = world.client.get_or_create(Brief, [how, world.key])
    lines = await world.eventually(brief.read, lambda lines: "run" in lines)
    assert lines == ["wake", "run"]
    for _ in range(5):
        await world.pause()
        assert await brief.read() == ["wake", "run"]
    await world.elapse(0.5, asyncio.sleep(0.5))
    lines = await world.eventually(brief.read, lambda lines: lines.count("run") == 2)
    assert lines == ["wake", "run", "sleep", "wake", "run"]


@RESIDENT
async def test_a_loop_may_put_its_actor_to_sleep(world: World) -> None:
    brief = world.client.get_or_create(Brief, ["sleeps", world.key])
    await brief.read()
    lines = await world.eventually(brief.read, lambda lines: lines.count("wake") > 1)
    assert lines[:4] == ["wake", "run", "sleep", "wake"]


async def test_a_loop_may_destroy_its_actor(world: World) -> None:
    journal = world.client.get_or_create(Journal, f"brief-{world.key}")
    await world.client.resolve(world.client.get_or_create(Brief, ["destroys", world.key]))
    await world.eventually(journal.read, lambda lines: lines == ["destroyed"])
    brief = world.client.get(Brief, ["destroys", world.key])

    async def gone() -> bool:
        try:
            await world.new_client().resolve(brief)
        except ActorError as error:
            return error.name == "actor.not_found"
        return False

    assert await world.eventually(gone, lambda gone: gone)


async def test_what_fails_is_tried_again_and_then_a_dead_letter(rig_world: RigWorld) -> None:
    worker = rig_world.client.get_or_create(Worker, rig_world.key)
    await rig_world.client.send(worker, Worker.tasks, Task(text="bad", fail=True))
    await rig_world.client.send(worker, Worker.notes, "next")

    async def look() -> list[list[Any]]:
        await rig_world.rig.advance(2)
        return await worker.letters()

    letters = await rig_world.eventually(look, lambda letters: letters)
    assert letters == [["message", 3, "user.user_error", ["tasks", {"text": "bad", "fail": True}]]]
    await rig_world.eventually(worker.read, lambda lines: "note:next" in lines)
    assert await worker.counted() == 1
    await worker.replay()
    await rig_world.rig.settle()
    letters = await rig_world.eventually(look, lambda letters: letters)
    assert len(letters) == 1
    assert await worker.counted() == 1


async def test_who_waits_for_a_message_that_is_given_up_is_told_why(rig_world: RigWorld) -> None:
    worker = rig_world.client.get_or_create(Worker, rig_world.key)
    bad = Task(text="bad", fail=True)
    asked = asyncio.ensure_future(
        rig_world.client.send_and_wait(worker, Worker.tasks, bad, timeout=50)
    )

    async def look() -> bool:
        await asyncio.wait({asyncio.ensure_future(rig_world.rest())}, timeout=1)
        await rig_world.rig.advance(0.1)
        return asked.done()

    await rig_world.eventually(look, lambda done: done)
    with pytest.raises(ActorError, match=r"user\.user_error: as asked"):
        await asked
    assert len(await worker.letters()) == 1


@IN_MEMORY
async def test_tokens_flow_while_a_message_is_worked_on(world: World) -> None:
    streamer = world.client.get_or_create(Streamer, world.key)
    async with world.client.connect(world.client.get_or_create("streamer", world.key)) as conn:
        heard = Ear()
        conn.on("token", heard)
        await conn.actor.read()
        asked = asyncio.ensure_future(
            world.client.send_and_wait(streamer, Streamer.prompts, 200, timeout=20)
        )
        while not heard.heard:
            await world.pause()
        assert not asked.done()
        await streamer.cancel(1)
        sent = int(await world.elapse(0.01, asked))
        assert 0 < sent < 200
        tokens = await heard.wait(sent)
        assert tokens == [f"1:{number}" for number in range(sent)]
        assert await streamer.read() == [f"1:{sent}"]
