"""Be a sensor and a dashboard at once."""

import asyncio
import struct
import sys

from examples.raw_websocket.app import Reading, SensorHub
from rivetless import Client


def show(reading: Reading) -> None:
    print(f"{reading.sensor}: {reading.value}")


async def main(endpoint: str = "http://localhost:6420") -> None:
    async with Client(endpoint) as client:
        hub = client.get_or_create(SensorHub, "home")
        async with client.connect(hub) as dashboard:
            dashboard.on(SensorHub.reading, show)
            # --8<-- [start:socket]
            async with client.web_socket(hub, "/sensor") as sensor:
                await sensor.send("NAME kitchen")
                await sensor.send("21.5")
                await sensor.send(struct.pack("<2d", 21.6, 21.7))
                await sensor.send("BYE")
                async for message in sensor:  # ends when the actor closes the socket
                    print("hub says:", message)
            # --8<-- [end:socket]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
