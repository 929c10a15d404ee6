"""Pictures go in and come out."""

from collections.abc import Callable

import httpx

from examples.raw_http.app import Album
from rivetless.testing.rig import Rig

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


# --8<-- [start:rig]
async def test_upload_and_show(rig: Rig) -> None:
    album = rig.client.get_or_create(Album, ["ann", "holidays"])
    created = await rig.client.fetch(
        album,
        "/pictures",
        method="POST",
        query={"title": "Beach"},
        headers={"content-type": "image/png"},
        body=PNG,
    )
    assert created.status == 201
    assert created.json() == {"id": 1, "title": "Beach"}

    shown = await rig.client.fetch(album, "/pictures/1")
    assert shown.body == PNG
    assert dict(shown.headers)["content-type"] == "image/png"


# --8<-- [end:rig]


async def test_list_and_remove(rig: Rig) -> None:
    album = rig.client.get_or_create(Album, ["ann", "holidays"])
    png = {"content-type": "image/png"}
    await rig.client.fetch(album, "/pictures", method="POST", headers=png, body=PNG)
    listed = (await rig.client.fetch(album, "/pictures")).json()
    assert listed == {
        "album": "ann/holidays",
        "pictures": [{"id": 1, "title": "Picture 1", "size": len(PNG)}],
    }
    assert (await rig.client.fetch(album, "/pictures/1", method="DELETE")).status == 204
    assert (await rig.client.fetch(album, "/pictures/1", method="DELETE")).status == 400
    assert (await rig.client.fetch(album, "/pictures")).json()["pictures"] == []


async def test_what_is_refused(rig: Rig) -> None:
    album = rig.client.get_or_create(Album, "a")
    refused = await rig.client.fetch(album, "/pictures", method="POST", body=b"GIF89a")
    assert refused.status == 400
    assert refused.json()["code"] == "not_a_picture"
    assert (await rig.client.fetch(album, "/nowhere")).status == 404
    assert (await rig.client.fetch(album, "/pictures", method="PUT")).status == 405


async def test_over_the_network(serve: Callable[[str], str]) -> None:
    endpoint = serve("examples.raw_http.app:registry")
    base = f"{endpoint}/gateway/album"
    target = {
        "rvt-namespace": "default",
        "rvt-method": "getOrCreate",
        "rvt-runner": "default",
        "rvt-key": "ann,pets",
    }
    async with httpx.AsyncClient() as http:
        created = await http.post(
            f"{base}/request/pictures",
            params=target,
            content=PNG,
            headers={"content-type": "image/png"},
        )
        assert created.status_code == 201
        shown = await http.get(f"{base}/request/pictures/1", params=target)
    assert shown.content == PNG
    assert shown.headers["content-type"] == "image/png"
