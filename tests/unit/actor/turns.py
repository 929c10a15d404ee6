"""A turn that only notes what it was told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from rivetless.actor.abort import AbortSignal
from rivetless.actor.base import Actor, definition_of
from rivetless.actor.definition import ActorDefinition
from rivetless.actor.turn import ConnInfo, RequestInfo, Turn
from rivetless.keys import Address

T = TypeVar("T")
ActorT = TypeVar("ActorT", bound=Actor[Any, Any, Any])


class FakeTurn(Turn):
    """Holds everything in memory; ``said`` is what the actor asked for, in order."""

    def __init__(
        self,
        cls: type[Actor[Any, Any, Any]],
        state: Any = None,
        *,
        conns: Sequence[ConnInfo] = (),
        request: RequestInfo | None = None,
    ) -> None:
        self._definition = definition_of(cls)
        self._abort = AbortSignal()
        self._conns = list(conns)
        self._request = request
        self.state = state
        self.vars: Any = None
        self.conn_states: dict[str, Any] = {}
        self.said: list[Any] = []
        self.stored: dict[str, Any] = {}

    @property
    def definition(self) -> ActorDefinition:
        return self._definition

    @property
    def address(self) -> Address:
        return Address("default", self._definition.name, ("a", "b"))

    @property
    def actor_id(self) -> str:
        return "actor-1"

    @property
    def turn_id(self) -> str:
        return "turn-1"

    @property
    def region(self) -> str:
        return "local"

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return logging.LoggerAdapter(logging.getLogger("test"))

    @property
    def abort(self) -> AbortSignal:
        return self._abort

    @property
    def request(self) -> RequestInfo | None:
        return self._request

    @property
    def conn(self) -> ConnInfo | None:
        return self._conns[0] if self._conns else None

    @property
    def client(self) -> Any:
        return "the client"

    def get_state(self) -> Any:
        return self.state

    def set_state(self, value: object) -> None:
        self.state = value

    def get_vars(self) -> Any:
        return self.vars

    def set_vars(self, value: object) -> None:
        self.vars = value

    def get_conn_state(self, conn: ConnInfo) -> Any:
        return self.conn_states[conn.id]

    def set_conn_state(self, conn: ConnInfo, value: object) -> None:
        self.conn_states[conn.id] = value

    async def conns(self) -> AsyncIterator[ConnInfo]:
        for conn in self._conns:
            yield conn

    async def find_conn(self, conn_id: str) -> ConnInfo | None:
        return next((conn for conn in self._conns if conn.id == conn_id), None)

    @property
    def kv(self) -> Any:
        raise AssertionError("nothing that is tested with this turn has pairs")

    @property
    def schedules(self) -> Any:
        raise AssertionError("nothing that is tested with this turn is done later")

    @property
    def crons(self) -> Any:
        raise AssertionError("nothing that is tested with this turn recurs")

    @property
    def dead_letters(self) -> Any:
        raise AssertionError("nothing that is tested with this turn fails for good")

    @property
    def queue(self) -> Any:
        raise AssertionError("nothing that is tested with this turn has queues")

    def broadcast(self, event: str, args: Sequence[object]) -> None:
        self.said.append(("broadcast", event, args))

    def send(self, conn: ConnInfo, event: str, args: Sequence[object]) -> None:
        self.said.append(("send", conn.id, event, args))

    def send_raw(self, conn: ConnInfo, data: str | bytes) -> None:
        self.said.append(("send_raw", conn.id, data))

    def disconnect(self, conn: ConnInfo, code: int, reason: str) -> None:
        self.said.append(("disconnect", conn.id, code, reason))

    async def refresh(self) -> None:
        self.said.append("refresh")

    async def save_state(self) -> None:
        self.said.append("save_state")

    async def once(self, name: str, fn: Callable[[], Awaitable[T]]) -> T:
        if name not in self.stored:
            self.stored[name] = await fn()
        result: T = self.stored[name]
        return result

    def keep_awake(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        self.said.append("keep_awake")
        return work

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        work.close()
        self.said.append("wait_until")

    def sleep(self) -> None:
        self.said.append("sleep")

    def destroy(self) -> None:
        self.said.append("destroy")


def instance(cls: type[ActorT], turn: FakeTurn) -> ActorT:
    """Make the actor's instance for a turn."""
    return cls.__bind__(turn)


def connection(conn_id: str = "conn-1", params: object = None, **fields: Any) -> ConnInfo:
    """Make a connection of a socket."""
    return ConnInfo(
        conn_id, fields.pop("kind", "events"), params, "host-1", fields.pop("request", None)
    )


async def run(cls: type[Actor[Any, Any, Any]], action: str, *args: object) -> object:
    """Run an action as the runtime does: plain arguments in, plain result out."""
    found = definition_of(cls).find_action(action)
    assert found is not None
    bound, named = found.bind(list(args))
    return found.plain_result(await found.call(instance(cls, FakeTurn(cls)), bound, named))
