"""Writes the stored examples of the present version; ``scripts/golden`` runs it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import rivetless
from rivetless.hosts.aws_lambda.doorbells import AwsDoorbells
from rivetless.hosts.aws_lambda.sockets import Phase, Route, _write_state
from rivetless.hosts.aws_lambda.websocket import Connect, Disconnect, Frame, write_message
from rivetless.hosts.envelopes import write_gone, write_hints, write_pushes
from rivetless.protocol.json_codec import json_dumps
from rivetless.runtime.ports import ClosePush, EventPush, Hint, Push, RawPush, Ring, Topic
from rivetless.store.base import Collection
from rivetless.store.dynamodb import DynamoDBStore, commits
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from rivetless.workflow.export import Export
from rivetless.workflow.journal import Journal, read_entry
from tests.golden import files, gallery

ID = "0" * 30
PUSHES = (
    Push(ID, 3, 0, EventPush("told", ("hello", 1.5, None)), ("c1", "c2")),
    Push(ID, 3, 1, RawPush("text"), ("c3",)),
    Push(ID, 3, 2, RawPush(b"\x00\xff"), ("c3",)),
    Push(ID, 3, 3, ClosePush(1000, "bye", forget=True), ("c4",)),
)
MESSAGES = (
    Connect("c1", {"a": ("b", "c")}, {"host": "x"}, 1_700_000_000.25),
    Frame("c1", "f1", b"hello", 1_700_000_000.25),
    Frame("c1", "f2", b"\x00\xff", 1_700_000_000.25, unordered=True, tries=2),
    Disconnect("c1", 1001, "gone"),
)
HINTS = tuple(Hint(topic, ID, "w", 1_700_000_000.5) for topic in Topic)
ROUTES = tuple(
    Route("c1", phase, 1_700_000_000.5, 1, ID if phase is Phase.OPEN else "", phase is Phase.OPEN)
    for phase in Phase
)


class Collecting:
    """A queue that keeps what it is sent."""

    url = "https://sqs/queue"

    def __init__(self) -> None:
        self.bodies: list[str] = []

    async def send_all(self, messages: list[Any]) -> None:
        self.bodies += [message.body for message in messages]


async def envelopes() -> dict[str, Any]:
    """Return what goes from process to process."""
    queue = Collecting()
    bells = AwsDoorbells(queue, clock=FakeClock())  # type: ignore[arg-type]  # a part of one
    await bells.ring([Ring(ID, None, hops=2)])
    kind, pushes = write_pushes(PUSHES)
    return {
        "pushes": {"type": kind, "body": pushes.hex()},
        "gone": write_gone("application/json", frozenset({"c1", "c2"})).decode(),
        "hints": write_hints("host", HINTS).decode(),
        "messages": [
            json.loads(queue.bodies[0]),
            {"rivetless": "sweep"},
            {"rivetless": "call", "actor": "keeper", "key": ["k"], "action": "look", "args": []},
            *(json.loads(json_dumps(write_message(message))) for message in MESSAGES),
        ],
        "routes": {route.phase.value: _write_state(route).decode() for route in ROUTES},
    }


async def export_of(store: Any) -> Any:
    """Return the journey's history, exported."""
    head = await store.load(files.ADDRESSES[-1])
    records = await store.records(head.actor_id, Collection.HISTORY)
    journal = Journal([read_entry(record.key, record.data) for record in records])
    return Export(head.actor_id, head.address, head.created_at, journal).to_json()


async def main(folder: Path) -> None:
    """Write all files."""

    def keep(name: str, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
        (folder / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "actors.db"
        async with Rig(store=SQLiteStore(path, clock=(clock := FakeClock())), clock=clock) as rig:
            await gallery.play(rig)
            rig.runtime.abandon()
            keep("actors.sql", files.dump_sqlite(path))
            stated = await files.content(rig.store)
            keep("actors.sqlite.stated.json", {"now": clock.now()} | stated)
            keep("export.json", await export_of(rig.store))
            await end()
    # Pieces of states are the same in small, and readable.
    commits.INLINE_STATE, commits.CHUNK = 3000, 1500  # type: ignore[misc]  # they are final
    service = SimulatedDynamoDB(clock := FakeClock())
    store = DynamoDBStore(files.TABLE, client=service, clock=clock)
    async with store:
        await store.create_table()
    async with Rig(store=store, clock=clock) as rig:
        await gallery.play(rig)
        rig.runtime.abandon()
        keep("actors.dynamodb.json", files.dump_dynamodb(service))
        stated = await files.content(rig.store)
        keep("actors.dynamodb.stated.json", {"now": clock.now()} | stated)
        await end()
    keep("envelopes.json", await envelopes())


async def end() -> None:
    """Give up the calls that hold an actor."""
    for call in gallery.HOLDING:
        call.cancel()
    await asyncio.gather(*gallery.HOLDING, return_exceptions=True)
    gallery.HOLDING.clear()


if __name__ == "__main__":
    version = rivetless.__version__
    changelog = (files.FOLDER.parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## [{version}]" in changelog:
        sys.exit(
            f"{version} is released: its examples stay what they are. Raise the version first."
        )
    (files.FOLDER / version).mkdir(exist_ok=True)
    asyncio.run(main(files.FOLDER / version))
