"""What a host may ask of the runtime: a few frozen commands, and what comes back.

A host is a translator. It turns whatever happened (an HTTP request, a frame on a socket, a wake-up
message) into one of these, hands it to ``Runtime``, and turns the answer back.
Values in commands and answers are *plain*: what ``protocol.values.untag`` makes of wire data.
"""

from __future__ import annotations

from typing import Final

from rivetless.actor.turn import RequestInfo
from rivetless.frozen import frozen
from rivetless.keys import Address
from rivetless.protocol.messages import QueueStatus

ABNORMAL: Final = 1006
"""The close code of a socket that ended without one."""


@frozen
class ById:
    """An existing life. Attributes: namespace it must be in; its id."""

    namespace: str | None
    actor_id: str


@frozen
class ByKey:
    """Whatever actor has the address now.

    Attributes:
        address: namespace, name (as on the wire) and key.
        create: make it if there is none (``getOrCreate``); else ``actor.not_found``.
        input: plain input for the creation, used only if this call creates.
    """

    address: Address
    create: bool = False
    input: object = None


Target = ById | ByKey


@frozen
class Origin:
    """Where a call comes from and how long it may take; the same for every command that runs code.

    Attributes:
        request: the HTTP request or upgrade, where there is one.
        params: connection parameters of a stateless call, as plain values.
        call_key: identifies the call so that a repeat gets the stored answer; already scoped to
            the caller ("a:" + call key for actors, "i:" + Idempotency-Key for clients; "f:" +
            connection + ":" + frame for frames that a queue delivers in order, and maybe again,
            "d:" for those that it delivers in no order).
        chain: actor ids of the call this one is part of, outermost first.
        deadline: Unix seconds after which the host cannot deliver an answer.
        ray_id: trace id.
        hops: how many wakes that actors made themselves led to it, sends counted as parts of one.
    """

    request: RequestInfo | None = None
    params: object = None
    call_key: str | None = None
    chain: tuple[str, ...] = ()
    deadline: float | None = None
    ray_id: str | None = None
    hops: float = 0.0


NOWHERE = Origin()


@frozen
class GetActor:
    """Look an actor up, or create it with ``ByKey(create=True)``. Answer: ``ActorInfo``.

    Attributes:
        exclusive: fail with ``actor.duplicate_key`` if it exists (``POST /actors``).
    """

    target: Target
    exclusive: bool = False


@frozen
class CallAction:
    """Run an action for a stateless call, on a connection of its own. Answer: ``ActionResult``."""

    target: Target
    action: str
    args: list[object]
    origin: Origin = NOWHERE


@frozen
class OpenConnection:
    """A socket was accepted: run the connection hooks and record it. Answer: ``ActorInfo``.

    Attributes:
        conn_id: chosen by the host.
        kind: ``"events"`` or ``"raw"``.
        host: the id under which the host's sockets are reachable.
        again: the command may come twice, from a queue that delivers at least once; a connection
            that is there already is let be.
    """

    target: Target
    conn_id: str
    kind: str
    host: str
    origin: Origin = NOWHERE
    again: bool = False


@frozen
class ConnectionAction:
    """Run an action for a connection. Answer: ``ActionResult``.

    Attributes:
        frame_id: chosen by the client.
        unordered: frames of the connection may overtake each other. What the action broadcasts
            then reaches the connection even if its subscription is not written down yet.
    """

    actor_id: str
    conn_id: str
    frame_id: int
    action: str
    args: list[object]
    origin: Origin = NOWHERE
    unordered: bool = False


@frozen
class Subscribe:
    """A connection starts or stops to listen to an event. Answer: ``None``; may be refused."""

    actor_id: str
    conn_id: str
    event: str
    subscribe: bool


@frozen
class RawMessage:
    """A raw WebSocket received a message. Answer: ``None``.

    Attributes:
        index: number of the message on its socket, from 0; or, where nobody counts them, any
            number that no other message of the socket has.
    """

    actor_id: str
    conn_id: str
    index: int
    data: str | bytes
    origin: Origin = NOWHERE


@frozen
class CloseConnection:
    """A socket is gone: forget the connection, run ``on_disconnect`` once. Answer: ``None``."""

    actor_id: str
    conn_id: str
    code: int = 1005


@frozen
class SendMessage:
    """Add a message to a queue. Answer: ``SendResult``, with ``wait`` when it is completed.

    Attributes:
        queue: its name; what is sent to one that the actor does not have is thrown away.
        body: plain.
        wait: whether the sender waits for the reply.
        timeout: seconds that it waits; ``None`` for as long as an action may take.
    """

    target: Target
    queue: str
    body: object
    wait: bool = False
    timeout: float | None = None
    origin: Origin = NOWHERE


@frozen
class RawRequest:
    """An HTTP request for ``on_request``. Answer: ``RawResponse``."""

    target: Target
    origin: Origin


@frozen
class DestroyActor:
    """Destroy from outside (``DELETE /actors/{id}``). Answer: ``None``; idempotent."""

    target: ById


@frozen
class SleepActor:
    """End this process's tenure of an actor: run ``on_sleep``, drop vars. Answer: ``None``."""

    target: ById


@frozen
class ListLetters:
    """List an actor's dead letters, newest first. Answer: ``list[Letter]``.

    Attributes:
        kind: only those of one kind.
    """

    target: ById
    limit: int = 100
    kind: str | None = None


@frozen
class ReplayLetter:
    """Put a dead letter back to be tried anew. Answer: how many were, none or one."""

    target: ById
    letter_id: str


@frozen
class PurgeLetters:
    """Throw away a dead letter, or as many as one commit takes. Answer: how many are gone."""

    target: ById
    letter_id: str | None = None


@frozen
class ListActors:
    """List actors of a name, newest first. Answer: ``list[ActorInfo]``."""

    namespace: str
    name: str
    limit: int = 100
    before: float | tuple[float, str] | None = None
    include_destroyed: bool = False


@frozen
class Wake:
    """A doorbell or an alarm: do what is due for an actor, and no more. Answer: ``None``.

    It may come late, early, twice or not at all.

    Attributes:
        actor_id: the life; one that is gone is nobody's loss.
        hops: how many wakes that actors made themselves led to this one.
        deadline: Unix seconds after which the host cannot go on.
        longest: seconds that any wake may take in this host; ``None`` where nobody knows.
    """

    actor_id: str
    hops: int = 0
    deadline: float | None = None
    longest: float | None = None


@frozen
class Sweep:
    """Make one bounded pass over what died processes have left. Answer: ``None``.

    Attributes:
        deadline: Unix seconds after which the host cannot go on.
    """

    deadline: float | None = None


Command = (
    GetActor
    | CallAction
    | OpenConnection
    | ConnectionAction
    | Subscribe
    | RawMessage
    | CloseConnection
    | RawRequest
    | SendMessage
    | DestroyActor
    | SleepActor
    | ListActors
    | ListLetters
    | ReplayLetter
    | PurgeLetters
    | Wake
    | Sweep
)
"""Everything a host may ask."""


@frozen
class ActorInfo:
    """One actor, as management answers it. Times are Unix seconds."""

    actor_id: str
    address: Address
    created_at: float
    destroyed_at: float | None = None
    created: bool = False


@frozen
class ActionResult:
    """The answer of an action: its plain output and who gave it."""

    output: object
    actor_id: str
    key: tuple[str, ...]


@frozen
class SendResult:
    """What became of a message, and which actor has it.

    Attributes:
        status: ``"timedOut"`` where the sender waited in vain; the message stays.
        response: the plain reply.
    """

    status: QueueStatus
    response: object
    actor_id: str
    key: tuple[str, ...]


@frozen
class RawResponse:
    """The whole answer of ``on_request``."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    actor_id: str
    key: tuple[str, ...]
