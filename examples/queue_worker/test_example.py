"""A queue, its loop, and who waits for it."""

from collections.abc import Callable

import pytest

from examples.queue_worker import client
from examples.queue_worker.app import Picture, Shop, Thumbnail, Thumbnailer
from rivetless import ActorError
from rivetless.testing.rig import Rig

CAT = "https://example.com/cat.jpg"


# --8<-- [start:test]
async def test_a_picture_is_answered(rig: Rig) -> None:
    worker = rig.client.get_or_create(Thumbnailer, "ann", params={"customer": "ann"})
    picture = Picture(url=CAT, width=64)
    thumbnail = await rig.client.send_and_wait(worker, Thumbnailer.pictures, picture, timeout=5)
    assert thumbnail == Thumbnail(url=f"{CAT}?w=64", width=64)
    assert (await worker.album()).thumbnails == [thumbnail]


# --8<-- [end:test]


async def test_nothing_is_lost_when_the_process_dies(rig: Rig) -> None:
    worker = rig.client.get_or_create(Thumbnailer, "ann")
    await worker.add_all([f"{CAT}?{number}" for number in range(20)], 32)
    rig.restart()
    await worker.album()
    await rig.settle()
    made = (await worker.album()).thumbnails
    assert [thumbnail.url for thumbnail in made] == [f"{CAT}?{n}?w=32" for n in range(20)]


async def test_an_actor_may_wait_for_its_own_loop(rig: Rig) -> None:
    worker = rig.client.get_or_create(Thumbnailer, "ann")
    assert (await worker.thumbnail(CAT)).width == 64


async def test_strangers_may_not_send(rig: Rig) -> None:
    stranger = rig.client.get_or_create(Thumbnailer, "ann")
    with pytest.raises(ActorError) as denied:
        await rig.client.send(stranger, Thumbnailer.pictures, Picture(url=CAT, width=1))
    assert denied.value.name == "auth.forbidden"


async def test_what_fails_three_times_is_put_aside(rig: Rig) -> None:
    worker = rig.client.get_or_create(Thumbnailer, "ann")
    await worker.add_all(["ftp://example.com", CAT], 32)
    await rig.advance(10)
    assert await worker.failed() == ["user.bad_url"]
    assert len((await worker.album()).thumbnails) == 1
    await worker.try_again()
    await rig.advance(10)
    assert await worker.failed() == ["user.bad_url"]


async def test_an_administrator_looks_at_what_failed(rig: Rig) -> None:
    worker = rig.client.get_or_create(Thumbnailer, "ann")
    await worker.add_all(["ftp://example.com"], 32)
    await rig.advance(10)
    assert await worker.failed() == ["user.bad_url"]
    assert await client.try_again(rig.client, "ann") == 0
    assert await worker.failed() == []


async def test_another_actor_sends_exactly_once(rig: Rig) -> None:
    await rig.client.get_or_create(Shop).upload("ann", CAT)
    await rig.settle()
    album = await rig.client.get_or_create(Thumbnailer, "ann").album()
    assert [thumbnail.width for thumbnail in album.thumbnails] == [128]


async def test_over_http(serve: Callable[[str], str]) -> None:
    endpoint = serve("examples.queue_worker.app:registry")
    assert await client.main(endpoint) == f"{CAT}?w=64"
