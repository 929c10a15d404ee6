"""Messages to other actors: they leave with the turn's commit and arrive exactly once.

The outbox keeps them until the other actor has them. It knows them by their id, for two days, so
that what is delivered twice is there once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rivetless.client import calls
from rivetless.errors import ActorError
from rivetless.keys import Address, partition_of_address, split_actor_id
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.commands import ById, ByKey, Origin, SendMessage
from rivetless.runtime.outgoings import RefusedError

if TYPE_CHECKING:
    from rivetless.runtime.outbox import Dispatch
    from rivetless.runtime.runtime import Runtime

SEND: Final = "send"
"""The kind of these entries of the outbox."""

REFUSALS: Final = frozenset(
    {"actor.validation_error", "actor.invalid_request", "auth.forbidden", "queue.message_too_large"}
)
"""What says that the message itself is at fault: the receiver would not take it later either."""


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
    origin = Origin(params=untag(params), call_key=f"o:{entry.id}", hops=entry.hops)
    return SendMessage(target, queue, untag(body), origin=origin)


def receiver_of(entry: Dispatch) -> str:
    """Name the actor that a message is for, whether it is addressed by its key or its id."""
    namespace, where, *_ = json.loads(entry.body)
    try:
        if len(where) == 1:
            return split_actor_id(where[0]).partition
        return partition_of_address(Address(namespace, where[0], tuple(where[1])))
    except (ValueError, ActorError):
        return str(where)  # there can be no such actor; it is refused when it is sent


class Sending:
    """Delivers them. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.outgoings.handle(SEND, self._deliver, receiver=receiver_of)

    async def _deliver(self, entry: Dispatch) -> None:
        try:
            await self._runtime.dispatch(read_send(entry))
        except ActorError as error:
            if error.name in REFUSALS:
                raise RefusedError(error) from error
            raise
