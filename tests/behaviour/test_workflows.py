"""Workflows: each step once, whoever sleeps in between; waits end; messages are answered."""

from tests.behaviour.actors.flowing import Pipeline
from tests.behaviour.world import Ear, RigWorld, World


async def test_a_workflow_begins_with_the_actor(world: World) -> None:
    pipeline = world.client.get_or_create(Pipeline, world.key)
    await world.eventually(pipeline.read, lambda lines: lines == ["prepared"])


async def test_messages_are_worked_off_and_answered(world: World) -> None:
    pipeline = world.client.get_or_create(Pipeline, world.key)
    for job in ("one", "hard", "last"):
        await world.client.send(pipeline, Pipeline.jobs, job)
    await world.eventually(pipeline.read, lambda lines: lines[-1:] == ["last"])
    asked = world.client.send_and_wait(pipeline, Pipeline.asks, "all", timeout=30)
    assert await world.elapse(1, asked) == "all after last"
    assert await pipeline.read() == ["prepared", "one", "hard", "last", "asked all"]


async def test_it_goes_on_after_the_actor_has_slept(world: World) -> None:
    pipeline = world.client.get_or_create(Pipeline, world.key)
    await world.client.send(pipeline, Pipeline.jobs, "one")
    await world.eventually(pipeline.read, lambda lines: lines[-1:] == ["one"])
    await pipeline.doze()
    await world.client.send(pipeline, Pipeline.jobs, "two")
    await world.eventually(pipeline.read, lambda lines: lines == ["prepared", "one", "two"])


async def test_connections_hear_of_a_step_once(world: World) -> None:
    pipeline = world.client.get_or_create(Pipeline, world.key)
    async with world.client.connect(pipeline) as conn:
        heard = Ear()
        conn.on(Pipeline.done, heard)
        await conn.actor.read()
        await world.client.send(pipeline, Pipeline.jobs, "hard")
        await world.eventually(pipeline.read, lambda lines: lines[-1:] == ["hard"])
        assert await world.elapse(1, heard.wait()) == ["hard"]


async def test_a_restart_loses_nothing(rig_world: RigWorld) -> None:
    pipeline = rig_world.client.get_or_create(Pipeline, rig_world.key)
    assert await pipeline.read() in ([], ["prepared"])
    rig_world.rig.restart()
    await rig_world.client.send(pipeline, Pipeline.jobs, "one")
    rig_world.rig.restart()
    for _ in range(20):
        # The claim of the process that has died ends by itself; then the sweeper comes by.
        await rig_world.rig.advance(20)
        await rig_world.rest()
    await rig_world.eventually(pipeline.read, lambda lines: lines == ["prepared", "one"])
