"""Dead letters: what an actor was to do and could not, kept until somebody decides.

A one-shot schedule, a queue message or an outgoing effect that has failed for good ends here, with
the reason. It can be looked at, put back to be tried anew, or thrown away. Letters of all kinds lie
together in the order of their deaths.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivetless import errors
from rivetless.actor.dead_letters import DeadLetterPort
from rivetless.frozen import frozen
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.job import Job
from rivetless.runtime.parts import Part
from rivetless.runtime.timers import milliseconds
from rivetless.store.base import Changes, Collection, Record, RecordKey

if TYPE_CHECKING:
    from rivetless.runtime.commands import ById, ListLetters, PurgeLetters, ReplayLetter
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

T = TypeVar("T")

MOST_LETTERS: Final = 1000
"""How many letters an actor keeps; then the oldest is thrown away for each new one."""


@frozen
class Failure:
    """Why something failed, as callers would have been told it."""

    group: str
    code: str
    message: str


@frozen
class Letter:
    """Something that was given up.

    Attributes:
        kind: what it was: ``"schedule"``, ``"message"``, or a kind of outgoing effect.
        source: the id it had: the schedule's, the message's, the effect's.
        at: when it was given up, in Unix seconds; whole milliseconds.
        attempts: how often it was tried.
        failure: why the last attempt failed.
        body: all it takes to put it back, as a plain value.
    """

    kind: str
    source: str
    at: float
    attempts: int
    failure: Failure
    body: object

    @property
    def id(self) -> str:
        """The letter's own id; ids lie in the order of the deaths."""
        return f"{milliseconds(self.at):012x}.{self.source}"


Replay = Callable[["ActorTurn", Letter], None]
"""Puts a letter back where it came from, in the turn that removes the letter."""


def failure_of(error: Exception) -> Failure:
    """Return what may be told of an error."""
    told = errors.public_error(error)
    return Failure(told.group, told.code, told.message)


def letter_record(letter: Letter) -> Record:
    """Write a letter down."""
    failure = letter.failure
    data = {
        "kind": letter.kind,
        "source": letter.source,
        "at": milliseconds(letter.at),
        "attempts": letter.attempts,
        "failure": [failure.group, failure.code, failure.message],
        "body": tag(letter.body, JSON),
    }
    encoded = json.dumps(data, separators=(",", ":")).encode()
    return Record(Collection.DEAD, letter.id.encode(), encoded)


def read_letter(record: Record) -> Letter:
    """Read a letter back."""
    data = json.loads(record.data)
    return Letter(
        kind=data["kind"],
        source=data["source"],
        at=data["at"] / 1000,
        attempts=data["attempts"],
        failure=Failure(*data["failure"]),
        body=untag(data["body"]),
    )


class DeadOffice:
    """Knows how letters of each kind are put back. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._replays: dict[str, Replay] = {}

    def handle(self, kind: str, replay: Replay) -> None:
        """Say how letters of a kind are put back."""
        self._replays[kind] = replay

    def replay(self, turn: ActorTurn, letter: Letter) -> None:
        """Put a letter back.

        Raises:
            ActorError: ``actor.invalid_operation``: this version of the code knows no such kind.
        """
        replay = self._replays.get(letter.kind)
        if replay is None:
            raise errors.ActorError(
                "actor", "invalid_operation", f"Letters of the kind `{letter.kind}` are not known."
            )
        replay(turn, letter)

    # -- for those who are not the actor ----------------------------------------------------------

    async def list(self, command: ListLetters) -> list[Letter]:
        """List an actor's letters."""
        return await self._run(
            command.target, lambda letters: letters.list(command.limit, command.kind)
        )

    async def replay_one(self, command: ReplayLetter) -> int:
        """Put one of an actor's letters back."""
        return int(await self._run(command.target, lambda x: x.replay(command.letter_id)))

    async def purge(self, command: PurgeLetters) -> int:
        """Throw an actor's letters away."""
        return await self._run(command.target, lambda letters: letters.purge(command.letter_id))

    async def _run(self, target: ById, work: Callable[[Letters], Coroutine[Any, Any, T]]) -> T:
        async def body(turn: ActorTurn) -> T:
            return await work(turn.part(Letters))

        runtime = self._runtime
        definition = await runtime.cells.definition_of(target)
        deadline = runtime.deadline(definition)
        job = Job(definition, body, label="dead letters", deadline=deadline)
        result: T = await runtime.execution.run(target, job)
        return result


class Letters(Part, DeadLetterPort):
    """The dead letters that one run of a turn adds and takes away."""

    __slots__ = ("_added", "_oldest", "_removed")

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._added: dict[str, Letter] = {}
        self._removed: set[str] = set()
        self._oldest: list[str] = []

    def add(self, letter: Letter) -> None:
        """Keep a letter."""
        self._added[letter.id] = letter

    async def list(self, limit: int, kind: str | None = None) -> list[Letter]:
        """Read letters, newest first."""
        asked = None if kind is not None else limit + len(self._removed)
        records = await self.stored(Collection.DEAD, reverse=True, limit=asked)
        stored = (read_letter(record) for record in records)
        found = [*reversed(self._added.values()), *(x for x in stored if x.id not in self._removed)]
        return [letter for letter in found if kind in (None, letter.kind)][:limit]

    async def find(self, letter_id: str) -> Letter | None:
        """Read one letter."""
        if letter_id in self._added or letter_id in self._removed:
            return self._added.get(letter_id)
        key = letter_id.encode()
        records = await self.stored(Collection.DEAD, start=key, end=key + b"\0", limit=1)
        return read_letter(records[0]) if records else None

    async def replay(self, letter_id: str) -> bool:
        """Put a letter back to be tried anew; say whether there was one."""
        letter = await self.find(letter_id)
        if letter is None:
            return False
        self.turn.runtime.dead.replay(self.turn, letter)
        self._remove(letter_id)
        return True

    async def purge(self, letter_id: str | None) -> int:
        """Throw a letter away, or as many as one commit takes; returns how many."""
        if letter_id is not None:
            gone = [letter_id] if await self.find(letter_id) is not None else []
        else:
            # Half a commit's worth: the turn may write something else too.
            most = self.turn.runtime.store.capabilities.max_commit_records // 2
            gone = [letter.id for letter in await self.list(most)]
        for each in gone:
            self._remove(each)
        return len(gone)

    def _remove(self, letter_id: str) -> None:
        if self._added.pop(letter_id, None) is None:
            self._removed.add(letter_id)

    async def prepare(self) -> None:
        self._oldest = []
        kept = self.turn.cell.counter("dead") - len(self._removed)
        beyond = kept + len(self._added) - MOST_LETTERS
        if self._added and beyond > 0 and self.turn.creation is None:
            records = await self.stored(Collection.DEAD, limit=beyond + len(self._removed))
            names = (record.key.decode() for record in records)
            self._oldest = [name for name in names if name not in self._removed][:beyond]
            self.turn.log.warning("%d old dead letters make room for new ones", beyond)

    def contribute(self, changes: Changes) -> Changes:
        gone = self._removed.union(self._oldest)
        if not (self._added or gone):
            return changes
        count = len(self._added) - len(gone)
        counters = {**changes.counters, "dead": changes.counters.get("dead", 0) + count}
        return replace(
            changes,
            # Two turns that take one letter must not both have it.
            touch=True,
            puts=(*changes.puts, *map(letter_record, self._added.values())),
            deletes=(
                *changes.deletes,
                *(RecordKey(Collection.DEAD, x.encode()) for x in sorted(gone)),
            ),
            counters=counters,
        )

    def savepoint(self) -> Callable[[], None]:
        added, removed = dict(self._added), set(self._removed)

        def undo() -> None:
            self._added, self._removed = added, removed

        return undo

    def committed(self) -> None:
        self._added, self._removed, self._oldest = {}, set(), []
