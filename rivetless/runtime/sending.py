"""Messages to other actors: they leave with the turn's commit and arrive exactly once.

The outbox keeps them until the other actor has them. It knows them by their id, for two days, so
that what is delivered twice is there once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rivetless.client import calls
from rivetless.keys import Address
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.commands import ById, ByKey, Origin, SendMessage

if TYPE_CHECKING:
    from rivetless.runtime.outbox import Dispatch
    from rivetless.runtime.runtime import Runtime

SEND: Final = "send"
"""The kind of these entries of the outbox."""


def write_send(namespace: str, send: calls.QueueSend) -> bytes:
    """Write a message to another actor down."""
    target = send.target
    where: list[object]
    if isinstance(target, calls.ById):
        where = [target.actor_id]
    else:
        where = [target.name, list(target.key), target.create, tag(target.input, JSON)]
    data = [namespace, where, send.queue, tag(send.body, JSON), tag(send.params, JSON)]
    return json.dumps(data, separators=(",", ":")).encode()


def read_send(entry: Dispatch) -> SendMessage:
    """Read it back, as the command that delivers it."""
    namespace, where, queue, body, params = json.loads(entry.body)
    target: ById | ByKey
    if len(where) == 1:
        target = ById(namespace, where[0])
    else:
        name, key, create, given = where
        target = ByKey(Address(namespace, name, tuple(key)), create=create, input=untag(given))
    origin = Origin(params=untag(params), call_key=f"o:{entry.id}")
    return SendMessage(target, queue, untag(body), origin=origin)


class Sending:
    """Delivers them. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.outgoings.handle(SEND, self._deliver)

    async def _deliver(self, entry: Dispatch) -> None:
        await self._runtime.dispatch(read_send(entry))
