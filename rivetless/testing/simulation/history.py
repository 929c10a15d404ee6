"""What happened in a simulated run, as its clients, sockets, stores and outside systems saw it.

The simulator writes it; checkers only read it. Everything has an ``order``: a number that grows
with each thing that is written down, because many things happen at one instant of virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from rivetless.frozen import frozen

__all__ = [
    "Commit",
    "Effect",
    "EventSeen",
    "History",
    "Ok",
    "Operation",
    "Outcome",
    "Refused",
    "Subject",
    "Unknown",
]

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Subject(NamedTuple):
    """Which actor something is about.

    Attributes:
        name: its name on the wire.
        key: its key.
    """

    name: str
    key: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join((self.name, *self.key))


@frozen
class Ok:
    """The caller was answered, so what was called for has happened.

    Attributes:
        value: the answer.
    """

    value: object = None

    def __str__(self) -> str:
        return f"{self.value!r}"


@frozen
class Refused:
    """The caller was told that it certainly has not happened.

    Attributes:
        code: group and code of the error, or the name of the exception.
    """

    code: str

    def __str__(self) -> str:
        return f"refused ({self.code})"


@frozen
class Unknown:
    """The caller cannot tell: it may have happened, may still happen, or never.

    Attributes:
        code: group and code of the error; ``unfinished`` where no answer came at all.
    """

    code: str = "unfinished"

    def __str__(self) -> str:
        return f"unknown ({self.code})"


Outcome = Ok | Refused | Unknown


@frozen(kw_only=True)
class Operation:
    """One call of a client, from when it was made until its outcome was known.

    Attributes:
        number: counts the operations of a history from 0.
        client: who called; one client makes one call after the other.
        process: where the call was sent, empty if that is not known.
        actor: which actor was called.
        call: name of the action, or of what else was asked for (``enqueue``, ``destroy``, …).
        args: its positional arguments.
        kwargs: its named arguments.
        key: the idempotency key it carried, if any.
        began: virtual time at which it was made.
        ended: virtual time of its outcome; None if there was none.
        order: place of its beginning among all that was written down.
        order_ended: place of its end; None if there was none.
        outcome: what the caller knows.
    """

    number: int
    client: str
    actor: Subject
    call: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    key: str | None = None
    process: str = ""
    began: float = 0.0
    ended: float | None = None
    order: int = 0
    order_ended: int | None = None
    outcome: Outcome = Unknown()

    @property
    def ok(self) -> bool:
        """Whether the caller was answered."""
        return isinstance(self.outcome, Ok)

    @property
    def refused(self) -> bool:
        """Whether it certainly has not happened."""
        return isinstance(self.outcome, Refused)

    @property
    def value(self) -> object:
        """The answer; None unless there was one."""
        return self.outcome.value if isinstance(self.outcome, Ok) else None

    def __str__(self) -> str:
        args = [f"{arg!r}" for arg in self.args]
        args += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        ended = "…" if self.ended is None else f"{self.ended:.3f}"
        return (
            f"#{self.number} {self.client} [{self.began:.3f}-{ended}] "
            f"{self.actor}.{self.call}({', '.join(args)}) -> {self.outcome}"
        )


@frozen(kw_only=True)
class EventSeen:
    """An event that reached a client's connection.

    Attributes:
        client: whose connection.
        connection: which of them; a socket that is opened again is another one.
        actor: who sent it.
        event: its name.
        args: what it carried.
        at: virtual time.
        order: place among all that was written down.
    """

    client: str
    connection: str
    actor: Subject
    event: str
    args: tuple[object, ...] = ()
    at: float = 0.0
    order: int = 0

    def __str__(self) -> str:
        args = ", ".join(f"{arg!r}" for arg in self.args)
        return f"{self.connection} [{self.at:.3f}] {self.actor} sent {self.event}({args})"


@frozen(kw_only=True)
class Effect:
    """Something an actor did in a system that is not ours: a payment, a mail.

    Attributes:
        name: what was done.
        key: the key under which the outside system knows it again.
        value: what it was done with.
        process: whose call it was.
        applied: False if the outside system knew the key and did nothing again.
        at: virtual time.
        order: place among all that was written down.
    """

    name: str
    key: str
    value: object = None
    process: str = ""
    applied: bool = True
    at: float = 0.0
    order: int = 0

    def __str__(self) -> str:
        again = "" if self.applied else " again, to no effect"
        return f"{self.process} [{self.at:.3f}] {self.name}({self.key!r}, {self.value!r}){again}"


@frozen(kw_only=True)
class Commit:
    """A commit that a store has applied, whether or not its writer came to know.

    Attributes:
        actor: whose.
        actor_id: which life.
        version: what the head's version is now.
        commit_id: the commit's own id.
        digest: stands for what was written.
        process: whose commit it was.
        at: virtual time.
        order: place among all that was written down.
    """

    actor: Subject
    actor_id: str
    version: int
    commit_id: str
    digest: str = ""
    process: str = ""
    at: float = 0.0
    order: int = 0

    def __str__(self) -> str:
        return f"{self.process} [{self.at:.3f}] committed {self.actor} version {self.version}"


class History:
    """Collects what happens in one run.

    Args:
        now: tells the virtual time.

    Attributes:
        effects: what was done outside, in order.
        events: the events that reached connections, in order.
        commits: the commits that stores applied, in order.
    """

    effects: list[Effect]
    events: list[EventSeen]
    commits: list[Commit]

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now
        self._order = 0
        self._operations: list[Operation] = []
        self.effects = []
        self.events = []
        self.commits = []

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All operations in the order they began; those without an end are unknown."""
        return tuple(self._operations)

    def of(self, actor: Subject) -> tuple[Operation, ...]:
        """Return the operations of one actor."""
        return tuple(one for one in self._operations if one.actor == actor)

    def tick(self) -> int:
        """Return the next place in the order of things."""
        self._order += 1
        return self._order

    def begin(
        self,
        client: str,
        actor: Subject,
        call: str,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] = _NOTHING,
        *,
        key: str | None = None,
        process: str = "",
    ) -> int:
        """Write down that a call is made; return its number, for ``end``."""
        number = len(self._operations)
        self._operations.append(
            Operation(
                number=number,
                client=client,
                actor=actor,
                call=call,
                args=args,
                kwargs=kwargs,
                key=key,
                process=process,
                began=self._now(),
                order=self.tick(),
            )
        )
        return number

    def end(self, number: int, outcome: Outcome, *, process: str | None = None) -> Operation:
        """Write down what became of a call.

        Args:
            number: what ``begin`` returned.
            outcome: what the caller knows now.
            process: where the call was sent, if that is known only now.
        """
        old = self._operations[number]
        ended = replace(
            old,
            process=old.process if process is None else process,
            ended=self._now(),
            order_ended=self.tick(),
            outcome=outcome,
        )
        self._operations[number] = ended
        return ended

    def event(
        self, client: str, connection: str, actor: Subject, event: str, args: tuple[object, ...]
    ) -> None:
        """Write down that an event reached a connection."""
        self.events.append(
            EventSeen(
                client=client,
                connection=connection,
                actor=actor,
                event=event,
                args=args,
                at=self._now(),
                order=self.tick(),
            )
        )

    def effect(
        self, name: str, key: str, value: object = None, *, process: str = "", applied: bool = True
    ) -> None:
        """Write down that something was done outside."""
        self.effects.append(
            Effect(
                name=name,
                key=key,
                value=value,
                process=process,
                applied=applied,
                at=self._now(),
                order=self.tick(),
            )
        )

    def commit(
        self,
        actor: Subject,
        actor_id: str,
        version: int,
        commit_id: str,
        *,
        digest: str = "",
        process: str = "",
    ) -> None:
        """Write down that a store has applied a commit."""
        self.commits.append(
            Commit(
                actor=actor,
                actor_id=actor_id,
                version=version,
                commit_id=commit_id,
                digest=digest,
                process=process,
                at=self._now(),
                order=self.tick(),
            )
        )
