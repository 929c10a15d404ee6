"""Writes down in the history what passes by the seams of a simulation."""

from __future__ import annotations

from hashlib import blake2b

from rivetless.store.base import Changes
from rivetless.testing.simulation.history import History, Subject
from rivetless.testing.simulation.trace import Trace

__all__ = ["Recorder"]


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
        self._trace.add(process, "commits %s version %d", subject, version)
