"""What stays the same while a turn is run again and again: what to run, for whom, until when."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rivetless.client.retry import is_lifecycle, is_stale
from rivetless.errors import ActorError
from rivetless.keys import serialise
from rivetless.runtime.commands import NOWHERE, Origin
from rivetless.store.base import Unavailable

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.turn import ConnInfo, RequestInfo
    from rivetless.keys import Address
    from rivetless.runtime.flight import Flight
    from rivetless.runtime.messages import Stored
    from rivetless.runtime.turn import ActorTurn

Body = Callable[["ActorTurn"], Coroutine[Any, Any, Any]]
"""Runs the user's code in a turn and returns the answer; may be called once per run."""

MAX_CHAIN: Final = 32
"""How many actors one call may pass through: no circle of calls goes on for ever."""


class Job:
    """One thing to be done to an actor, however many runs that takes.

    Attributes:
        definition: the actor's definition.
        body: what to run.
        origin: where the call comes from.
        conn: the connection it is for.
        request: the HTTP request or upgrade behind it.
        timeout: seconds the handler may take in one run; ``None`` for no limit of its own.
        hook: the hook that has this time; empty where it is an action's.
        exclusive: whether the lease is taken before the first run.
        check: hash of action and arguments, for calls with a key.
        echoes: whether what it broadcasts reaches its own connection, subscribed or not.
        deadline: Unix seconds until which it may be tried.
        label: what it does, for logs.
        cause: the job that a lifecycle turn (a creation, a wake) runs for.
        created: whether its present run began the actor's life.
        conflicts: how often somebody else was faster.
        elsewhere: whether one of them was another process.
        outside: whether a run has reached something other than our own ports.
        leased: whether it holds the actor; ``closed`` says that nothing passes through.
        calls: how many calls to other actors one run has begun.
        answered: whether others were called and have done it, or may have.
        hops: how many wakes that actors made themselves led to it, sends counted as parts of one.
        checkpoints: how many commits ``save_state`` made in the present run.
        once: results of ``once``, by name.
        failing: the life, and the messages that its handler had received, when it failed.
        flight: where its turns go when they are sent, if not all is to wait until they are durable.
    """

    __slots__ = (
        "_durable_cause",
        "_turn_id",
        "answered",
        "body",
        "calls",
        "cause",
        "check",
        "checkpoints",
        "closed",
        "conflicts",
        "conn",
        "created",
        "deadline",
        "definition",
        "echoes",
        "elsewhere",
        "exclusive",
        "failing",
        "flight",
        "hook",
        "hops",
        "label",
        "leased",
        "once",
        "origin",
        "outside",
        "request",
        "started",
        "timeout",
    )

    def __init__(
        self,
        definition: ActorDefinition,
        body: Body,
        *,
        label: str,
        deadline: float,
        origin: Origin = NOWHERE,
        conn: ConnInfo | None = None,
        request: RequestInfo | None = None,
        timeout: float | None = None,
        hook: str = "",
        exclusive: bool = False,
        turn_id: str | None = None,
        check: str = "",
        echoes: bool = False,
        cause: Job | None = None,
        hops: float = 0.0,
        flight: Flight | None = None,
    ) -> None:
        self.definition = definition
        self.body = body
        self.origin = origin
        self.conn = conn
        self.request = request
        self.timeout = timeout
        self.hook = hook
        self.exclusive = exclusive
        self.check = check
        self.echoes = echoes
        self.hops = max(hops, origin.hops)
        self.label = label
        self.created = False
        self.elsewhere = False
        self.deadline = deadline
        self.started = 0
        self.conflicts = 0
        self.outside = False
        self.leased = False
        self.closed = exclusive
        self.checkpoints = 0
        self.calls = 0
        self.answered = False
        self.cause = cause
        self.once: dict[str, object] | None = None
        self.failing: tuple[str, tuple[Stored, ...]] | None = None
        self.flight = flight
        self._turn_id = turn_id
        self._durable_cause = turn_id is not None or origin.call_key is not None

    def turn_id(self, fresh: Callable[[], str]) -> str:
        """Return the job's turn id: from its durable cause, or ``fresh`` and then kept."""
        if self._turn_id is None:
            key = self.origin.call_key
            self._turn_id = fresh() if key is None else digest("turn", key)
        return self._turn_id

    def go_on_from_outside(self) -> None:
        """An earlier job of the same cause has reached outside in vain: take the lease at once.

        As if it had been run once itself, and lost to another process.
        """
        self.outside = self.elsewhere = True
        self.conflicts += 1

    @property
    def durable_cause(self) -> bool:
        """Whether a later job, perhaps in another process, may have the same turn id."""
        return self._durable_cause

    def begin_unit(self, deadline: float) -> None:
        """What follows is a transaction of its own: nothing of the last one counts any more."""
        self.deadline = deadline
        self.outside = self.answered = False
        self.calls = 0
        self.once = None

    @contextmanager
    def calling(self) -> Generator[None, None, None]:
        """Call others in the body; note that they may have done it, unless it is certain not to be.

        Whoever gives a call up, because its time is over or for a reason of its own, cannot know.
        """
        nothing = False
        try:
            yield
        except ActorError as error:
            nothing = is_lifecycle(error) or is_stale(error)
            raise
        except Unavailable:
            nothing = True
            raise
        finally:
            self.answered = self.answered or not nothing

    def link(self, address: Address, turn_id: str) -> str:
        """Name this turn in a chain of calls."""
        return f"{address.name}[{serialise(address.key)}]@{turn_id}"

    def descends_from(self, holder: str) -> bool:
        """Whether the job is part of a call that the turn ``holder`` has made."""
        suffix = f"@{holder}"
        return any(link.endswith(suffix) for link in self.origin.chain)


def digest(*parts: str) -> str:
    """Return 128 bits of a hash over ``parts``, as text."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        state.update(len(data).to_bytes(4, "big"))
        state.update(data)
    return state.hexdigest()
