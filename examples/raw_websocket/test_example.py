"""Sensors speak their own protocol; dashboards get events."""

import struct
from collections.abc import Callable

import pytest

from examples.raw_websocket import client
from examples.raw_websocket.app import Reading, SensorHub
from rivetless import ActorError
from rivetless.testing.rig import Rig


# --8<-- [start:talk]
async def test_a_sensor_talks(rig: Rig) -> None:
    hub = rig.client.get_or_create(SensorHub, "home")
    async with rig.client.web_socket(hub, "/sensor") as sensor:
        assert await sensor.receive() == "HELLO"
        await sensor.send("NAME kitchen")
        assert await sensor.receive() == "OK kitchen"
        await sensor.send("21.5")
        assert await sensor.receive() == "OK 1"
        assert await hub.latest() == {"kitchen": 21.5}


# --8<-- [end:talk]


async def test_each_socket_has_its_own_state(rig: Rig) -> None:
    hub = rig.client.get_or_create(SensorHub, "home")
    async with (
        rig.client.web_socket(hub, "/sensor") as kitchen,
        rig.client.web_socket(hub, "/sensor") as cellar,
    ):
        for socket, name in ((kitchen, "kitchen"), (cellar, "cellar")):
            await socket.receive()
            await socket.send(f"NAME {name}")
            await socket.receive()
        rig.restart()
        await kitchen.send(struct.pack("<3d", 20, 21, 22))
        assert await kitchen.receive() == "OK 3"
        await cellar.send("12")
        assert await cellar.receive() == "OK 1"
        assert await hub.latest() == {"kitchen": 22, "cellar": 12}
    await rig.settle()
    assert await hub.latest() == {}


async def test_dashboards_hear_of_it(rig: Rig) -> None:
    hub = rig.client.get_or_create(SensorHub, "home")
    async with (
        rig.client.connect(hub) as dashboard,
        rig.client.web_socket(hub, "/sensor") as sensor,
    ):
        readings = dashboard.events(SensorHub.reading)
        await sensor.send("NAME attic")
        await sensor.send("30.25")
        assert await anext(readings) == Reading(sensor="attic", value=30.25)


async def test_mistakes_are_answered(rig: Rig) -> None:
    hub = rig.client.get_or_create(SensorHub, "home")
    async with rig.client.web_socket(hub, "/sensor") as sensor:
        assert await sensor.receive() == "HELLO"
        await sensor.send("21.5")
        assert await sensor.receive() == "ERROR say NAME first"
        await sensor.send("NAME attic")
        await sensor.receive()
        await sensor.send("warm")
        assert await sensor.receive() == "ERROR 'warm' is no number"
        await sensor.send(b"123")
        assert [message async for message in sensor] == []
        assert (sensor.close_code, sensor.close_reason) == (1003, "doubles have 8 bytes")


async def test_another_path_is_refused(rig: Rig) -> None:
    hub = rig.client.get_or_create(SensorHub, "home")
    async with rig.client.web_socket(hub, "/elsewhere") as socket:
        with pytest.raises(ActorError) as refusal:
            await socket.receive()
    assert refusal.value.name == "user.wrong_path"


async def test_over_the_network(
    serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    await client.main(serve("examples.raw_websocket.app:registry"))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("hub says")] == [
        "hub says: HELLO",
        "hub says: OK kitchen",
        "hub says: OK 1",
        "hub says: OK 3",
        "hub says: BYE 3",
    ]
    assert "kitchen: 21.5" in lines
