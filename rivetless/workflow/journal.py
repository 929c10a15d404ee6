"""The journal: what a workflow has done, one entry for each thing, by its place.

An entry's place is the path of names that leads to it, with the number of the iteration where a
loop is on the way: ``orders/~3/charge``. The entries of one actor are records in the store; a
process reads them once and keeps them for as long as nobody else writes any.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import Any, Final, Literal, cast

from rivetless.frozen import frozen
from rivetless.protocol.values import JSON, tag, untag
from rivetless.workflow.errors import ErrorInfo

Kind = Literal[
    "workflow",
    "step",
    "loop",
    "sleep",
    "message",
    "join",
    "race",
    "rollback_checkpoint",
    "version_check",
]

Status = Literal["pending", "running", "completed", "failed", "rolling_back"]

ROOT: Final = ""
"""The place of the entry that stands for the whole workflow."""


@frozen
class Entry:
    """One thing that a workflow has done or waits for.

    Attributes:
        location: its place.
        kind: what it is.
        status: ``pending`` waits for ``at``, or for a message.
        seq: rises with each entry, in the order of their beginnings.
        created_at: when it began, in Unix seconds.
        completed_at: when it ended.
        attempts: of a step.
        error: of what has failed, or is to be tried again.
        failure: why a step is not tried again.
        value: the result, as JSON.
        at: until when it waits, in Unix seconds.
        rolled_back: whether the step's ``rollback`` is done.
    """

    location: str
    kind: str
    status: str
    seq: int
    created_at: float
    completed_at: float | None = None
    attempts: int = 0
    error: ErrorInfo | None = None
    failure: str | None = None
    value: Any = None
    at: float | None = None
    rolled_back: bool = False

    @property
    def name(self) -> str:
        """The last part of its place, as it was written."""
        return unquote(self.location.rpartition("/")[2])

    @property
    def parent(self) -> str:
        """The place that it lies in."""
        return self.location.rpartition("/")[0]

    @property
    def waiting(self) -> bool:
        """Whether a timer is to wake the actor for it."""
        return self.status == "pending" and self.at is not None

    @property
    def timer_id(self) -> str:
        """Names its timer."""
        return hashlib.blake2b(self.location.encode(), digest_size=12).hexdigest()


def whole(instant: float) -> float:
    """Return an instant in the precision of timers, not earlier."""
    return math.ceil(instant * 1000 - 0.01) / 1000


def plain_json(value: object) -> Any:
    """Return what is stored for a plain value."""
    return tag(value, JSON)


def read_json(value: Any) -> object:
    """Return the plain value that was stored."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return untag(json.loads(json.dumps(value)))


def entry_data(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON; what is as usual is left out."""
    data: dict[str, Any] = {
        "kind": entry.kind,
        "status": entry.status,
        "seq": entry.seq,
        "began": entry.created_at,
    }
    if entry.completed_at:
        data["done"] = entry.completed_at
    if entry.attempts:
        data["n"] = entry.attempts
    if entry.failure:
        data["why"] = entry.failure
    if entry.value is not None:
        data["value"] = entry.value
    if entry.at:
        data["at"] = entry.at
    if entry.rolled_back:
        data["back"] = True
    if entry.error is not None:
        error = entry.error
        data["error"] = [error.name, error.message, plain_json(error.metadata)]
    return data


def read_data(location: str, data: dict[str, Any]) -> Entry:
    """Read an entry back."""
    error = data.get("error")
    return Entry(
        location,
        data["kind"],
        data["status"],
        data["seq"],
        data["began"],
        data.get("done"),
        data.get("n", 0),
        None if error is None else ErrorInfo(error[0], error[1], read_json(error[2])),
        data.get("why"),
        data.get("value"),
        data.get("at"),
        data.get("back", False),
    )


_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def entry_bytes(entry: Entry) -> bytes:
    """Write an entry down."""
    return _encode(entry_data(entry)).encode()


def entry_key(location: str) -> bytes:
    """Return the key of an entry's record."""
    return b"/" + location.encode()


def read_entry(key: bytes, data: bytes) -> Entry:
    """Read an entry's record."""
    return read_data(key[1:].decode(), json.loads(data))


def quote(name: str) -> str:
    """Make a name a part of a place."""
    if "%" in name or "/" in name or name.startswith("~"):
        return name.replace("%", "%25").replace("/", "%2F").replace("~", "%7E")
    return name


def unquote(part: str) -> str:
    """Return the name again."""
    return part.replace("%7E", "~").replace("%2F", "/").replace("%25", "%")


@frozen
class Completion:
    """A message that the workflow has completed.

    Attributes:
        id: the message's.
        reply: plain.
    """

    id: int
    reply: object


class Writing:
    """What one commit writes to a journal.

    Attributes:
        puts: entries, by their places.
        deletes: places of entries that go.
        arm, disarm: due times and ids of timers to add and to take away.
        completions: messages that the commit completes.
    """

    __slots__ = ("arm", "completions", "deletes", "disarm", "puts")

    def __init__(self) -> None:
        self.puts: dict[str, Entry] = {}
        self.deletes: set[str] = set()
        self.arm: dict[str, float] = {}
        self.disarm: dict[str, float] = {}
        self.completions: list[Completion] = []

    def __bool__(self) -> bool:
        return bool(self.puts or self.deletes or self.disarm or self.completions)

    def put(self, entry: Entry, old: Entry | None = None) -> Writing:
        """Write an entry, in the place of the one that the journal has."""
        if old is not None and old.waiting and not (entry.waiting and entry.at == old.at):
            self._disarm(old)
        if entry.waiting and entry.at is not None and not (old is not None and old.at == entry.at):
            self.arm[entry.timer_id] = entry.at
        self.deletes.discard(entry.location)
        self.puts[entry.location] = entry
        return self

    def delete(self, entry: Entry) -> None:
        """Remove an entry."""
        if entry.waiting:
            self._disarm(entry)
        self.puts.pop(entry.location, None)
        self.deletes.add(entry.location)

    def _disarm(self, entry: Entry) -> None:
        # One that was only to be armed by this commit was never stored.
        if self.arm.pop(entry.timer_id, None) is None and entry.at is not None:
            self.disarm[entry.timer_id] = entry.at

    def then(self, later: Writing) -> Writing:
        """Return both as one."""
        both = Writing()
        both.puts = {k: v for k, v in self.puts.items() if k not in later.deletes} | later.puts
        both.deletes = (self.deletes - set(later.puts)) | later.deletes
        both.arm = {k: v for k, v in self.arm.items() if k not in later.disarm} | later.arm
        gone = {k: v for k, v in later.disarm.items() if self.arm.get(k) != v}
        both.disarm = {**self.disarm, **gone}
        both.completions = [*self.completions, *later.completions]
        return both

    def split(self, most: int) -> list[Writing]:
        """Return it as several, of at most so many deletes each; what they wait for comes first."""
        gone = sorted(self.deletes)
        parts: list[Writing] = []
        for start in range(0, len(gone), most):
            part = self if not parts else Writing()
            part.deletes = set(gone[start : start + most])
            parts.append(part)
        return parts or [self]


@frozen
class Shown:
    """An entry with what lies in it, for those who look at history."""

    entry: Entry
    children: list[Shown] = field(default_factory=list["Shown"])


class Journal:
    """The entries of one workflow, as this process knows them.

    Args:
        entries: what is stored.
        version: how many commits history has had in the actor's life.

    Attributes:
        version: as given, and what this process has sent since.
        dirty: what is to be written by the next commit, whatever that is for.
    """

    __slots__ = ("_children", "_entries", "_seq", "dirty", "open_messages", "version")

    def __init__(self, entries: Iterable[Entry] = (), version: int = 0) -> None:
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._seq = 0
        self.version = version
        self.dirty = Writing()
        self.open_messages: dict[int, str] = {}
        for entry in entries:
            self._add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, location: str) -> Entry | None:
        """Return the entry at a place."""
        return self._entries.get(location)

    def children(self, location: str) -> Iterable[str]:
        """Return the places that lie directly in a place."""
        return self._children.get(location, ())

    def within(self, location: str) -> list[Entry]:
        """Return everything that lies in a place, however deep."""
        found: list[Entry] = []
        for child in self.children(location):
            entry = self._entries.get(child)
            if entry is not None:
                found.append(entry)
            found += self.within(child)
        return found

    def next_seq(self) -> int:
        """Return a number for a new entry."""
        self._seq += 1
        return self._seq

    def _add(self, entry: Entry) -> None:
        location = entry.location
        self._entries[location] = entry
        self._seq = max(self._seq, entry.seq)
        child = location
        while child:
            parent = child.rpartition("/")[0]
            siblings = self._children.setdefault(parent, {})
            if child in siblings:
                break
            siblings[child] = None
            child = parent
        if entry.kind == "message":
            for message in cast("list[dict[str, Any]]", entry.value or ()):
                if message["open"]:
                    self.open_messages[message["id"]] = location
                else:
                    self.open_messages.pop(message["id"], None)

    def _drop(self, location: str) -> None:
        self._entries.pop(location, None)
        child = location
        while child and child not in self._children and child not in self._entries:
            parent = child.rpartition("/")[0]
            siblings = self._children.get(parent, {})
            siblings.pop(child, None)
            if not siblings:
                self._children.pop(parent, None)
            child = parent

    def apply(self, writing: Writing) -> None:
        """Take over what is durable now."""
        for location in writing.deletes:
            self._drop(location)
        for entry in writing.puts.values():
            self._add(entry)

    def mark(self, entry: Entry) -> None:
        """Have an entry written with the next commit, and see it from now on."""
        self.dirty = self.dirty.then(Writing().put(entry, self.get(entry.location)))
        self._add(entry)

    def discard(self, entries: Iterable[Entry]) -> None:
        """Have entries removed with the next commit, and see them no more."""
        writing = Writing()
        for entry in list(entries):
            writing.delete(entry)
            self._drop(entry.location)
        self.dirty = self.dirty.then(writing)

    def take_dirty(self) -> Writing:
        """Return what the next commit is to write beside its own."""
        dirty, self.dirty = self.dirty, Writing()
        return dirty

    def tree(self, keep: Callable[[Entry], bool] = lambda entry: True) -> list[Shown]:
        """Return the entries as a tree, in the order of their beginnings."""
        nodes: dict[str, Shown] = {}
        roots: list[Shown] = []
        for entry in sorted(self, key=lambda entry: (entry.seq, entry.location)):
            if entry.location == ROOT or not keep(entry):
                continue
            nodes[entry.location] = Shown(entry)
        for location, node in nodes.items():
            above = location.rpartition("/")[0]
            while above and above not in nodes:
                above = above.rpartition("/")[0]
            (nodes[above].children if above else roots).append(node)
        return roots


def from_seq(journal: Journal, location: str) -> list[Entry]:
    """Return what goes when a workflow is to run again from a step.

    Inside of a loop that is the whole outermost loop.

    Raises:
        LookupError: there is no such step.
    """
    entry = journal.get(location)
    if entry is None or entry.kind != "step":
        raise LookupError(f"history has no step `{location}`")
    parts = location.split("/")
    first = entry.seq
    for depth in range(1, len(parts)):
        above = journal.get("/".join(parts[:depth]))
        if above is not None and above.kind == "loop":
            inside = [above, *journal.within(above.location)]
            first = min(inner.seq for inner in inside)
            break
    root = journal.get(ROOT)
    gone = [other for other in journal if other.seq >= first and other.location != ROOT]
    return gone if root is None else [*gone, root]
