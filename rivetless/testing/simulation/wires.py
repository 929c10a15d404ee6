"""Sockets between clients and hosts: frames take their time, and wires are cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless.client.sockets import MemorySocket
from rivetless.errors import ActorError
from rivetless.protocol import codec
from rivetless.protocol.messages import ActionRequest, ActionResponse, ErrorFrame, Event
from rivetless.testing.simulation.history import Ok, Outcome, Subject, Unknown
from rivetless.testing.simulation.outcomes import outcome_of
from rivetless.testing.simulation.weather import Fault, menu

if TYPE_CHECKING:
    from rivetless.testing.simulation.vitality import Vitality
    from rivetless.testing.simulation.world import World

__all__ = ["Listener", "Wire"]

FRAMES: Final = menu(Fault.DELAYED, Fault.SOCKET_CUT)


class _Line:
    """One direction of a wire: what is sent arrives in order, as long as the wire is whole.

    Args:
        world: what the simulation shares.
        vitality: of the process at its end, if it ends in one that can freeze.
    """

    def __init__(self, world: World, vitality: Vitality | None) -> None:
        self._loop = world.loop
        self._vitality = vitality
        self._last = 0.0
        self.cut = False

    def send(self, seconds: float, arrive: Callable[[], None]) -> None:
        """Have something arrive after a while, behind what is on its way."""
        # The loop does not keep the order of what is due at the very same instant.
        self._last = max(self._loop.time() + seconds, self._last + 1e-6)
        self._loop.call_at(self._last, self._arrive, arrive)

    def _arrive(self, arrive: Callable[[], None]) -> None:
        if self.cut:
            return
        if self._vitality is not None and not self._vitality.awake:
            self._vitality.hold(arrive)
        else:
            arrive()


class _Far(MemorySocket):
    """The other end, as seen from this one: everything goes over the wire."""

    def __init__(self, wire: Wire, line: _Line, end: MemorySocket) -> None:
        super().__init__()
        self._wire = wire
        self._line = line
        self._end = end

    def deliver(self, data: str | bytes) -> None:
        """Send a frame."""
        seconds = self._wire.frame()
        self._line.send(seconds, partial(self._end.deliver, data))

    def end(self, code: int, reason: str) -> None:
        """Say that this end closes."""
        self._line.send(0.001, partial(self._end.end, code, reason))


class Wire:
    """A socket's two ends, and what is between them.

    Args:
        world: what the simulation shares.
        name: of the connection.
        vitality: of the process that serves it; None where that never freezes.
        client: the client's end.

    Attributes:
        client: as given.
        server: the server's end.
    """

    def __init__(
        self, world: World, name: str, vitality: Vitality | None, client: MemorySocket
    ) -> None:
        self._world = world
        self._name = name
        self.client: Final = client
        self.server: Final = MemorySocket()
        self._up = _Line(world, vitality)
        self._down = _Line(world, None)
        client.join(_Far(self, self._up, self.server))
        self.server.join(_Far(self, self._down, client))
        if vitality is not None:
            vitality.at_death(self._server_died)

    def frame(self) -> float:
        """Decide what happens to a frame; return how long it takes."""
        world = self._world
        draw = world.choices.draw(f"{self._name} frame")
        fault = world.weather.pick(FRAMES, draw)
        if fault is None:
            return 0.001 if world.choices.plan.steady else 0.0005 + 0.004 * draw.first
        world.network.note(fault, draw.id, self._name, "frame")
        if fault is Fault.SOCKET_CUT:
            self._up.cut = self._down.cut = True
            # Each side learns of it in its own time.
            world.loop.call_later(2.0 * draw.first, self.client.end, 1006, "")
            world.loop.call_later(30.0 * draw.second, self.server.end, 1006, "")
        seconds: float = 0.001 * 1000.0**draw.first
        return seconds

    def _server_died(self) -> None:
        self._down.send(0.2, partial(self.client.end, 1006, ""))


class Listener(MemorySocket):
    """A client's end, whose frames are written down.

    Args:
        world: what the simulation shares.
        client: whose.
        name: of the connection.
        subject: the actor it leads to.
        raw: whether its frames are nobody's business.
    """

    def __init__(
        self, world: World, client: str, name: str, subject: Subject, *, raw: bool
    ) -> None:
        super().__init__()
        self._world = world
        self._client = client
        self._name = name
        self._subject = subject
        self._raw = raw
        self._calls: dict[int, int] = {}

    async def send(self, data: str | bytes) -> None:
        """Send a frame."""
        if not self._raw:
            message = codec.JSON.decode_to_server(data).message
            if isinstance(message, ActionRequest):
                world = self._world
                args = tuple(message.args)
                number = world.history.begin(self._client, self._subject, message.name, args)
                self._calls[message.id] = number
                world.trace.add(
                    self._name, "#%d %s.%s%r", number, self._subject, message.name, args
                )
        await super().send(data)

    def deliver(self, data: str | bytes) -> None:
        """Take a frame that arrives."""
        if self.close_code is None and not self._raw:
            match codec.JSON.decode_to_client(data).message:
                case Event(name, args):
                    self._world.history.event(
                        self._client, self._name, self._subject, name, tuple(args)
                    )
                    self._world.trace.add(self._name, "sees %s%r", name, tuple(args))
                case ActionResponse(number, output):
                    self._answered(number, Ok(output))
                case ErrorFrame(group, code, message) as frame if frame.action_id is not None:
                    self._answered(frame.action_id, outcome_of(ActorError(group, code, message)))
                case _:
                    pass
        super().deliver(data)

    def end(self, code: int, reason: str) -> None:
        """Take the end."""
        if self.close_code is None:
            self._world.trace.add(self._name, "closes: %d %s", code, reason)
            for number in list(self._calls):
                self._answered(number, Unknown(f"closed {code}"))
        super().end(code, reason)

    def _answered(self, number: int, outcome: Outcome) -> None:
        operation = self._calls.pop(number, None)
        if operation is not None and not self._world.network.ended:
            self._world.history.end(operation, outcome)
            self._world.trace.add(self._name, "#%d is %s", operation, outcome)
