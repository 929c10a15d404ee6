"""Dead letters: what has failed for good can be looked at, tried anew and thrown away."""

from typing import Any

import pytest

from rivetless import ActorError
from rivetless.client import Client
from tests.behaviour.actors.queueing import Postman
from tests.behaviour.actors.timely import Planner
from tests.behaviour.world import TOKEN, RigWorld, ServerWorld, World


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


async def have_refused(world: World, count: int = 1) -> Postman:
    """Make an actor with dead letters: what it has sent was refused."""
    postman = world.client.get_or_create(Postman, world.key)
    for number in range(count):
        await postman.deliver_to_members(world.key, f"number {number}")
    return postman


async def check_letters(world: World, admin: Client) -> None:
    """Look at letters as an administrator, put one back, throw them away."""
    postman = await have_refused(world, 2)
    box = admin.dead_letters(admin.get(Postman, world.key))
    newest, oldest = await world.eventually(box.list, lambda letters: len(letters) == 2)
    assert (newest.kind, newest.error, newest.attempts) == ("send", "auth.forbidden", 1)
    assert newest.died_at >= oldest.died_at
    assert newest.id != oldest.id
    bodies = {bytes(str(letter.body), "utf-8")[-20:] for letter in (newest, oldest)}
    assert len(bodies) == 2
    assert newest.source in newest.id
    assert await box.list(limit=1) == [newest]
    assert await box.list(kind="schedule") == []
    assert await box.list(kind="send") == [newest, oldest]

    assert await box.replay(newest.id)
    assert not await box.replay(newest.id)
    again = await world.eventually(box.list, lambda letters: len(letters) == 2)
    assert {letter.source for letter in again} == {newest.source, oldest.source}
    assert newest.id not in {letter.id for letter in again}
    assert await box.purge("no letter") == 0
    assert await box.purge(oldest.id) == 1
    by_id = admin.dead_letters(admin.get_for_id(Postman, await world.client.resolve(postman)))
    assert len(await by_id.list()) == 1
    assert await by_id.purge() == 1
    assert await by_id.list() == []


async def test_the_python_client_in_the_process(rig_world: RigWorld) -> None:
    await check_letters(rig_world, rig_world.client)


async def test_the_python_client_over_http(server: ServerWorld) -> None:
    encoding: Any = server.cell.encoding
    async with Client(server.endpoint, token=TOKEN, encoding=encoding) as admin:
        await check_letters(server, admin)


async def test_an_actor_looks_at_anothers(world: World) -> None:
    postman = await have_refused(world)

    async def look() -> list[str]:
        other = world.client.get_or_create(Postman, f"{world.key}-other")
        return await other.letters_of(world.key)

    await world.eventually(look, lambda errors: errors == ["auth.forbidden"])
    assert await postman.letters_of(world.key) == ["auth.forbidden"]


async def test_nobody_is_created_for_letters(world: World) -> None:
    for handle in (world.client.get, world.client.get_or_create):
        box = world.client.dead_letters(handle(Postman, f"{world.key}-nobody"))
        with pytest.raises(ActorError) as caught:
            await box.list()
        assert caught.value.name == "actor.not_found"
