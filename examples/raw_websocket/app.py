"""A WebSocket protocol of one's own: sensors send lines or packed floats, dashboards get events.

A sensor sends ``NAME kitchen`` first. Then each text is a reading (``21.5``), and each binary
message holds any number of them as little-endian doubles. ``BYE`` ends it. Dashboards use an
ordinary connection.
"""

import struct

from pydantic import BaseModel

from rivetless import Actor, Event, RawWebSocket, UserError, action, setup


class Sensor(BaseModel):
    """What each socket has of its own."""

    name: str = ""
    readings: int = 0


class Reading(BaseModel):
    sensor: str
    value: float


class HubState(BaseModel):
    latest: dict[str, float] = {}


class SensorHub(Actor[HubState, Sensor], icon="temperature-half"):
    """The sensors of a house."""

    reading = Event[Reading]()

    async def create_conn_state(self, params: object) -> Sensor:
        return Sensor()

    # --8<-- [start:hooks]
    async def on_websocket(self, ws: RawWebSocket[Sensor]) -> None:
        if ws.path != "/websocket/sensor":  # RivetKit shows the prefix too
            raise UserError("Sensors connect to /sensor.", code="wrong_path")
        ws.send("HELLO")

    async def on_websocket_message(self, ws: RawWebSocket[Sensor], data: str | bytes) -> None:
        match data:
            case "BYE":
                ws.send(f"BYE {ws.state.readings}")
                ws.close(1000, "bye")
            case str() if data.startswith("NAME "):
                ws.state.name = data.removeprefix("NAME ").strip()
                ws.send(f"OK {ws.state.name}")
            case str():
                self._record(ws, [data])
            case bytes():
                if len(data) % 8:
                    ws.close(1003, "doubles have 8 bytes")
                    return
                self._record(ws, [value for (value,) in struct.iter_unpack("<d", data)])

    async def on_websocket_close(self, ws: RawWebSocket[Sensor], code: int) -> None:
        self.state.latest.pop(ws.state.name, None)

    # --8<-- [end:hooks]

    def _record(self, ws: RawWebSocket[Sensor], values: list[str] | list[float]) -> None:
        sensor = ws.state
        if not sensor.name:
            ws.send("ERROR say NAME first")
            return
        for value in values:
            try:
                number = float(value)
            except ValueError:
                ws.send(f"ERROR {value!r} is no number")
                return
            sensor.readings += 1
            self.state.latest[sensor.name] = number
            self.broadcast(self.reading, Reading(sensor=sensor.name, value=number))
        ws.send(f"OK {sensor.readings}")

    @action
    async def latest(self) -> dict[str, float]:
        """Return the last reading of each connected sensor."""
        return self.state.latest


registry = setup(use=[SensorHub])
