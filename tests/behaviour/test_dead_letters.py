"""Dead letters: what has failed for good can be looked at, tried anew and thrown away."""

from typing import Any

from tests.behaviour.actors.timely import Planner
from tests.behaviour.world import RigWorld, ServerWorld


async def die(world: RigWorld) -> tuple[Planner, list[list[Any]]]:
    """Make a planner with a dead letter."""
    planner = world.client.get_or_create(Planner, world.key)
    await planner.break_down(True)
    await planner.wobble_later()

    async def look() -> list[list[Any]]:
        for _, _, _, run_at in await planner.planned():
            # Each time it has failed: until then time stands still.
            await world.rig.advance(max(float(str(run_at)) - world.rig.clock.now(), 0.0))
        letters: list[list[Any]] = await planner.letters()
        return letters

    return planner, await world.eventually(look, len)


async def test_a_failure_is_tried_again_first(rig_world: RigWorld) -> None:
    planner = rig_world.client.get_or_create(Planner, rig_world.key)
    await planner.break_down(True)
    schedule_id = await planner.wobble_later()
    await rig_world.pause()
    await rig_world.eventually(lambda: planner.get(schedule_id), bool)
    await planner.break_down(False)
    await rig_world.rig.advance(5)
    await rig_world.eventually(planner.read, lambda lines: lines == ["wobbled"])
    assert await planner.letters() == []


async def test_what_fails_for_good_is_kept(rig_world: RigWorld) -> None:
    planner, letters = await die(rig_world)
    ((letter_id, kind, source, attempts, error, message),) = letters
    assert source in letter_id
    assert (kind, attempts, error, message) == ("schedule", 8, "user.broken", "still broken")
    assert await planner.planned() == []


async def test_replaying(rig_world: RigWorld) -> None:
    planner, letters = await die(rig_world)
    await planner.break_down(False)
    assert await planner.replay(letters[0][0]) is True
    assert await planner.replay(letters[0][0]) is False
    await rig_world.eventually(planner.read, lambda lines: lines == ["wobbled"])
    assert await planner.letters() == []


async def test_purging(rig_world: RigWorld) -> None:
    planner, letters = await die(rig_world)
    assert await planner.purge("no letter") == 0
    assert await planner.purge(letters[0][0]) == 1
    assert await planner.purge() == 0
    assert await planner.letters() == []


async def test_over_http(server: ServerWorld) -> None:
    planner = server.client.get_or_create(Planner, server.key)
    await planner.read()
    base = f"/actors/{await server.client.resolve(planner)}/dead-letters"
    assert (await server.http.get(f"{base}?namespace=default")).json() == {"letters": []}
    assert (await server.http.delete(f"{base}?namespace=default")).json() == {"purged": 0}
    one = f"{base}/nothing"
    assert (await server.http.delete(f"{one}?namespace=default")).json() == {"purged": 0}
    replayed = await server.http.post(f"{one}/replay?namespace=default")
    assert replayed.json() == {"replayed": 0}
    refused = await server.http.get("/actors/nobody/dead-letters?namespace=default")
    assert refused.status_code == 404
