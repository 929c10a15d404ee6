"""History as data: exported, drawn, and replayed against other code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless.actor.abort import AbortSignal
from rivetless.frozen import frozen
from rivetless.keys import Address
from rivetless.workflow.declare import workflow_of
from rivetless.workflow.engine import Engine
from rivetless.workflow.errors import MisuseError, Suspended, Unrecorded
from rivetless.workflow.journal import ROOT, Entry, Journal, Shown, Writing, entry_data, read_data
from rivetless.workflow.outside import outside
from rivetless.workflow.port import Finish, Outcome, Port, Work

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.queue import Delivery, Queue

FORMAT: Final = "workflow"
"""What an export says that it is."""


@frozen
class Export:
    """The history of one workflow, as it was at some time.

    Attributes:
        actor_id: the life.
        address: of the actor.
        created_at: when its life began, in Unix seconds.
        journal: the history.
    """

    actor_id: str
    address: Address
    created_at: float
    journal: Journal

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        entries = {entry.location: entry_data(entry) for entry in self.journal}
        return {
            "rivetless": FORMAT,
            "actor": self.actor_id,
            "namespace": self.address.namespace,
            "name": self.address.name,
            "key": list(self.address.key),
            "created_at": self.created_at,
            "entries": entries,
        }

    @classmethod
    def from_json(cls, data: Any) -> Export:
        """Read it back.

        Raises:
            ValueError: it is no export.
        """
        read = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        if read.get("rivetless") != FORMAT:
            raise ValueError("this is no export of a workflow")
        address = Address(read["namespace"], read["name"], tuple(read["key"]))
        entries = [read_data(location, entry) for location, entry in read["entries"].items()]
        return cls(read["actor"], address, read["created_at"], Journal(entries))


def draw(journal: Journal) -> Iterator[str]:
    """Draw history as a tree, a line for each entry."""
    root = journal.get(ROOT)
    yield f"workflow {root.status if root is not None else 'under way'}"
    yield from _draw(journal.tree(), "", "")


def _draw(nodes: Sequence[Shown], indent: str, above: str) -> Iterator[str]:
    for number, node in enumerate(nodes):
        last = number == len(nodes) - 1
        entry = node.entry
        parts = [entry.kind, entry.location.removeprefix(above), entry.status]
        if entry.attempts > 1:
            parts.append(f"after {entry.attempts} attempts")
        if entry.completed_at is not None:
            parts.append(f"{entry.completed_at - entry.created_at:.3f} s")
        if entry.rolled_back:
            parts.append("rolled back")
        if entry.error is not None:
            parts.append(f"({entry.error})")
        yield f"{indent}{'└─' if last else '├─'} {' '.join(parts)}"
        deeper = indent + ("   " if last else "│  ")
        yield from _draw(node.children, deeper, f"{entry.location}/")


class _Recorded(Port):
    """Runs nothing: answers come from history alone."""

    def __init__(self, definition: ActorDefinition, export: Export) -> None:
        self.definition = definition
        self.address = export.address
        self.region = "replay"
        self._export = export
        logger = logging.getLogger(f"rivetless.actor.{definition.name}")
        self._log: logging.LoggerAdapter[logging.Logger] = logging.LoggerAdapter(logger, {})
        self._abort = AbortSignal()

    @property
    def actor_id(self) -> str:
        return self._export.actor_id

    @property
    def name(self) -> str:
        return self.address.name

    @property
    def key(self) -> tuple[str, ...]:
        return self.address.key

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return self._log

    @property
    def created_at(self) -> float:
        return self._export.created_at

    @property
    def abort(self) -> AbortSignal:
        return self._abort

    @property
    def journal(self) -> Journal:
        return self._export.journal

    @property
    def longest(self) -> float | None:
        return None

    def now(self) -> float:
        return self.created_at

    def jitter(self) -> float:
        return 0.0

    async def pause(self, seconds: float) -> None:
        raise Unrecorded

    async def turn(
        self, label: str, location: str, work: Work | None, finish: Finish, timeout: float | None
    ) -> Outcome:
        raise Unrecorded

    async def receive(
        self,
        location: str,
        names: Collection[str],
        count: int,
        completable: bool | None,
        finish: Callable[[Sequence[Delivery]], Writing],
    ) -> list[Delivery]:
        raise Unrecorded

    async def durable(self) -> None:
        return

    def find_queue(self, name: str) -> Queue[Any, Any] | None:
        return self.definition.find_queue(name)

    async def report(self, event: object) -> None:
        return


async def replay(definition: ActorDefinition, export: Export) -> str | None:
    """Run a workflow's code over a history that was recorded; do nothing new.

    Returns:
        What does not fit, or ``None``.
    """
    workflow = workflow_of(definition.cls)
    if workflow is None:
        return f"the actor `{definition.name}` has no workflow"
    known = len(export.journal)
    port = _Recorded(definition, export)
    engine = Engine(port, recorded_only=True)
    with suppress(Unrecorded, Suspended):
        await engine.run(workflow, definition.new(outside(port)))
    if isinstance(engine.misuse or engine.error, MisuseError):
        return str(engine.misuse or engine.error)
    for entry in export.journal:
        if entry.location not in engine.visited and not _is_over(export.journal, entry):
            return f"history has a {entry.kind} `{entry.location}` that the code did not come to"
    return None if known else "history is empty"


def _is_over(journal: Journal, entry: Entry) -> bool:
    """Whether an entry is looked at no more: that of the whole, and those of loops that ended."""
    location = entry.location
    while location:
        location = location.rpartition("/")[0]
        above = journal.get(location)
        if above is not None and above.kind == "loop":
            number = entry.location.removeprefix(f"{location}/~").partition("/")[0]
            if above.status == "completed" or int(number) < above.value["iteration"]:
                return True
    return entry.location == ROOT
