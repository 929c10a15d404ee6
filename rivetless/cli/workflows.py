"""``rivetless replay`` and ``rivetless workflow``: histories, from a store or from files."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivetless.cli.loading import load_registry
from rivetless.errors import ActorError, make
from rivetless.keys import Address
from rivetless.runtime import messages
from rivetless.runtime.history import COUNTER, TIMER
from rivetless.runtime.records import find_record
from rivetless.runtime.timers import timer_key
from rivetless.store.base import (
    Changes,
    Collection,
    Conflict,
    Head,
    RecordKey,
    Store,
)
from rivetless.store.urls import open_store
from rivetless.workflow.export import Export, draw, replay
from rivetless.workflow.journal import Entry, Journal, entry_key, from_seq, read_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivetless.registry import Registry

OLD: Final = 60.0
"""How long ago a reminder seems to be written, so that the next sweep finds it."""


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands."""
    if arguments.command == "replay":
        exports = [(path, _read(path)) for path in arguments.exports]
        return asyncio.run(_replay(load_registry(arguments.app), exports))
    try:
        return asyncio.run(_workflow(arguments))
    except (LookupError, ActorError) as error:
        print(f"rivetless: {error.args[0] if error.args else error}", file=sys.stderr)
        return 1


def _read(path: Path) -> Export:
    try:
        return Export.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error


async def _replay(registry: Registry, exports: Sequence[tuple[Path, Export]]) -> int:
    wrong = 0
    for path, export in exports:
        definition = registry.definitions.get(export.address.name)
        count = len(export.journal)
        problem: str | None = f"the registry has no actor `{export.address.name}`"
        if definition is not None:
            problem = await replay(definition, export)
        print(f"{path}: {problem or f'fits, {count} entries'}")
        wrong += problem is not None
    return 1 if wrong else 0


async def _workflow(arguments: argparse.Namespace) -> int:
    async with open_store(arguments.store) as store:
        head = await _find(store, arguments.namespace, arguments.actor)
        records = await store.records(head.actor_id, Collection.HISTORY)
        journal = Journal(read_entry(record.key, record.data) for record in records)
        if arguments.verb == "show":
            for line in draw(journal):
                print(line)
        elif arguments.verb == "export":
            export = Export(head.actor_id, head.address, head.created_at, journal)
            print(json.dumps(export.to_json(), indent=1, ensure_ascii=False))
        else:
            gone = from_seq(journal, arguments.step)
            await forget(store, head, gone, now=time.time())
            print(f"{len(gone)} entries are forgotten; the workflow goes on within a minute")
    return 0


async def _find(store: Store, namespace: str, actor: str) -> Head:
    name, *key = actor.split("/")
    head = await store.load(Address(namespace, name, tuple(key)) if key else actor)
    if head is None or head.destroyed_at is not None:
        raise LookupError(f"there is no actor {actor}")
    return head


async def forget(store: Store, head: Head, gone: Sequence[Entry], *, now: float) -> None:
    """Remove entries of a history, newest first, and have the workflow gone on with.

    Raises:
        ActorError: ``actor.workflow_in_flight``: a process is at it.
    """
    if await find_record(store, head.actor_id, Collection.REPLY, b"runner") is not None:
        raise make("actor.workflow_in_flight")
    newest_first = sorted(gone, key=lambda entry: entry.seq, reverse=True)
    most = max(store.capabilities.max_commit_records // 3, 1)
    version = head.version
    for start in range(0, len(newest_first), most):
        part = newest_first[start : start + most]
        timers = {timer_key(e.at, TIMER, e.timer_id) for e in part if e.waiting and e.at}
        left = await store.records(head.actor_id, Collection.SCHEDULE, limit=len(timers) + 1)
        first = next((record.key for record in left if record.key not in timers), None)
        changes = Changes(
            uuid.uuid4().hex,
            touch=True,
            alarm=None if first is None else int.from_bytes(first[:8], "big") / 1000,
            deletes=(
                *(RecordKey(Collection.HISTORY, entry_key(entry.location)) for entry in part),
                *(RecordKey(Collection.SCHEDULE, key) for key in timers),
            ),
            counters={COUNTER: 1},
            outbox_add=(messages.mark(now - OLD),),
        )
        try:
            version = await store.commit(head.actor_id, changes, expected=version) or version + 1
        except Conflict:
            raise make("actor.workflow_in_flight") from None
