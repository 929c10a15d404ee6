"""Functions under test: a handler on a store in memory, its context, and recorded events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rivetless import Actor, UserError, action, setup
from rivetless.clock import Clock
from rivetless.gateway.limits import Limits
from rivetless.hosts.aws_lambda.events import LambdaEvent
from rivetless.hosts.aws_lambda.handler import MESSAGES, SOURCES, LambdaHost
from rivetless.hosts.aws_lambda.messages import MessageHandler
from rivetless.hosts.aws_lambda.process import LambdaProcess
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.runtime.ports import Doorbells, NoDoorbells, Pusher
from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock

EVENTS: Final = Path(__file__).parents[3] / "events"
ACTOR_ID: Final = "3m2a1y1fsi4k286dhd0yiynz9ahirs"


def recorded(name: str) -> dict[str, Any]:
    """Return an event of AWS as it was recorded, fresh."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


class Counter(Actor[int]):
    """Counts."""

    initial_state = 0

    @action
    async def increment(self, amount: int = 1) -> int:
        self.state += amount
        return self.state

    @action
    async def refuse(self) -> None:
        raise UserError("No.", code="refused", metadata={"why": "so"})

    @action
    async def break_down(self) -> None:
        raise ValueError("a secret of the actor's")


class Context:
    """What Lambda passes beside the event."""

    aws_request_id: str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    function_name: str = "actors"

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


class Function:
    """A function of Lambda with one environment.

    Args:
        actors: what it serves.
        events: kinds of events of the application's own.
        store: where actors last.
        clock: all time comes from it.
        settings: what the environment says.
        doorbells: how actors are woken.
        messages: what handles our own messages.
        limits: of HTTP clients.
        root_path: what comes before our paths.
        pusher: how sockets are reached.

    Attributes:
        lines: the lines of metrics it has written.
    """

    def __init__(
        self,
        *actors: type[Actor[Any, Any, Any]],
        events: Sequence[type[LambdaEvent]] = (),
        store: Store | str | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        doorbells: Doorbells | None = None,
        messages: Mapping[str, MessageHandler] = MESSAGES,
        limits: Limits | None = None,
        root_path: str = "",
        pusher: Pusher | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.lines: list[str] = []
        self.process = LambdaProcess(
            setup(use=list(actors or (Counter,))),
            settings or Settings(),
            clock=self.clock,
            store=MemoryStore(clock=self.clock) if store is None else store,
            doorbells=doorbells or NoDoorbells(),
            limits=limits,
            root_path=root_path,
            pusher=pusher,
        )
        self.handler = LambdaHost(
            self.process,
            sources=(*events, *SOURCES),
            messages=messages,
            metrics=self.lines.append,
        )

    def __call__(self, event: object, seconds: float = 30.0) -> Any:
        """Invoke it, and make sure that Lambda could send the answer."""
        answer = self.handler(event, Context(seconds))
        return json.loads(json.dumps(answer, allow_nan=False))

    def call(self, action: str, *args: object, seconds: float = 30.0, **more: object) -> Any:
        """Invoke it directly, for an action of the counter ``k``."""
        message = {"rivetless": "call", "name": "counter", "key": ["k"], "create": True}
        return self({**message, "action": action, "args": list(args), **more}, seconds)

    @property
    def metrics(self) -> dict[str, Any]:
        """The last line of metrics."""
        line: dict[str, Any] = json.loads(self.lines[-1])
        return line

    def close(self) -> None:
        """End it."""
        self.handler.close()


MakeFunction = Callable[..., Function]
