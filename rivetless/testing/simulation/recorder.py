"""Writes down in the history what passes by the seams of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from typing import Final

from rivetless.store.base import KEEP, Changes
from rivetless.testing.simulation.history import History, Subject
from rivetless.testing.simulation.trace import Trace

__all__ = ["Recorder", "commit_applied"]

_UNDER_WAY: Final[ContextVar[Callable[[bool], None] | None]] = ContextVar(
    "rivetless simulated commit", default=None
)


def commit_applied(*, transaction: bool) -> None:
    """A store's request has been done; if it was a commit's, that is written down once."""
    note = _UNDER_WAY.get()
    if note is not None:
        note(transaction)


class Recorder:
    """Tells history and trace of commits.

    Args:
        history: what checkers read.
        trace: what people read.
    """

    def __init__(self, history: History, trace: Trace) -> None:
        self._history = history
        self._trace = trace
        self._subjects: dict[str, Subject] = {}

    def committed(self, process: str, actor_id: str, changes: Changes, version: int) -> None:
        """A store has applied a commit."""
        if changes.create is not None:
            address = changes.create.address
            self._subjects[actor_id] = Subject(address.name, address.key)
        subject = self._subjects.get(actor_id)
        if subject is None:
            return  # a host's own record
        state = changes.state
        digest = blake2b(state, digest_size=6).hexdigest() if isinstance(state, bytes) else ""
        self._history.commit(
            subject, actor_id, version, changes.commit_id, digest=digest, process=process
        )
        self._trace.add(process, "commits %s%s", subject, _Written(changes, version))

    @contextmanager
    def committing(
        self, process: str, actor_id: str, changes: Changes, expected: int | None
    ) -> Generator[None, None, None]:
        """Write down the commit that is made in the body, as soon as the service has done it.

        That is told by ``commit_applied``, be it after the body, when the request was late.
        """
        noted = False

        def note(transaction: bool) -> None:
            nonlocal noted
            # What is appended is always in a transaction; what came before reserved its numbers.
            if not noted and (transaction or not changes.appends):
                noted = True
                version = (expected or 0) + changes.versioned
                self.committed(process, actor_id, changes, version)

        token = _UNDER_WAY.set(note)
        try:
            yield
        finally:
            _UNDER_WAY.reset(token)


class _Written:
    """What a commit wrote, as text that is made only when somebody reads it."""

    __slots__ = ("_changes", "_version")

    def __init__(self, changes: Changes, version: int) -> None:
        self._changes = changes
        self._version = version

    def __str__(self) -> str:
        changes = self._changes
        parts = [
            name
            for name, there in (
                ("created", changes.create is not None),
                ("state", changes.state is not KEEP),
                ("alarm", changes.alarm is not KEEP),
                ("lease", changes.lease is not KEEP),
                ("destroyed", changes.destroyed_at is not None),
            )
            if there
        ]
        parts += [f"reply {reply.key[:12]}" for reply in changes.replies]
        parts += [f"+{record.collection.name.lower()}" for record in changes.puts]
        parts += [f"+{append.collection.name.lower()}" for append in changes.appends]
        parts += [f"-{key.collection.name.lower()}" for key in changes.deletes]
        parts += [f"outbox +{entry.id}" for entry in changes.outbox_add]
        parts += [f"outbox -{entry}" for entry in changes.outbox_clear]
        text = f": {', '.join(parts)}" if parts else ""
        return f" version {self._version}{text}" if changes.versioned else text
