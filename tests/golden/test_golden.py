"""What older versions have stored is read, and gone on with; what newer ones have is left alone."""

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from blockbuster import BlockBuster

from rivetless import ActorError
from rivetless.actor.turn import ConnInfo
from rivetless.hosts import envelopes
from rivetless.hosts.aws_lambda import sockets
from rivetless.hosts.aws_lambda.handler import MESSAGES as KINDS
from rivetless.hosts.aws_lambda.websocket import read_message
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, SendMessage
from rivetless.runtime.messages import MARK
from rivetless.runtime.ports import ClosePush, EventPush, Push, RawPush, Topic
from rivetless.runtime.records import read_connection
from rivetless.runtime.sending import SEND
from rivetless.store.base import (
    RECORD_FORMAT,
    Changes,
    Collection,
    Head,
    NewerFormat,
    Record,
    Store,
)
from rivetless.store.dynamodb import DynamoDBStore, table
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.workflow.export import Export, replay
from rivetless.workflow.journal import Kind, read_entry
from tests.golden import files, write
from tests.golden.gallery import LARGE, LONG, Closed, Done, Failing, Gate, Journey, Keeper

KEEPER = files.ADDRESSES[0]
KEY = ["a/b", "ü"]
STORES = ("sqlite", "dynamodb")

pytestmark = pytest.mark.parametrize("version", files.VERSIONS)


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    return str(request.param)


@pytest.fixture
def stated(version: str, kind: str) -> dict[str, Any]:
    """What the version says it has stored."""
    found: dict[str, Any] = files.read(version, f"actors.{kind}.stated.json")
    return found


@pytest.fixture
def clock(stated: dict[str, Any]) -> FakeClock:
    """The time at which it was stored."""
    return FakeClock(stated["now"])


@dataclass
class Left:
    """What the version has left behind."""

    version: str
    kind: str
    folder: Path
    clock: FakeClock

    async def store(self) -> Store:
        """Return a store with it, not open."""
        return await files.load(self.version, self.kind, self.folder, self.clock)

    async def newer(self) -> Store:
        """Return the same, after newer code has written the keeper's head."""
        store = await self.store()
        number = RECORD_FORMAT + 1
        if isinstance(store, SQLiteStore):
            db = sqlite3.connect(self.folder / "actors.db")
            db.execute(
                "UPDATE heads SET format = ? WHERE name = 'keeper' AND key LIKE 'a%'", (number,)
            )
            db.commit()
            assert db.total_changes == 1
            db.close()
            return store
        assert isinstance(store, DynamoDBStore)
        (partition,) = (
            item["pk"]
            for item in files.read(self.version, "actors.dynamodb.json")
            if item.get("akey", {}).get("S", "").startswith("a")
        )
        request = {
            "TableName": files.TABLE,
            "Key": {"pk": partition, "sk": {"B": b"HEAD"}},
            "UpdateExpression": "SET fmt = :n",
            "ExpressionAttributeValues": {":n": {"N": str(number)}},
        }
        await store._client.call("UpdateItem", request)
        return store


@pytest.fixture
def left(
    version: str, kind: str, tmp_path: Path, clock: FakeClock, blockbuster: BlockBuster
) -> Left:
    """What the version has left behind."""
    # SQLite works in the event loop here, so that a clock can be moved on.
    blockbuster.deactivate()
    return Left(version, kind, tmp_path, clock)


@asynccontextmanager
async def process(store: Store, clock: FakeClock) -> AsyncIterator[Rig]:
    """Run a process of the present version."""
    Gate.open = True
    async with Rig(store=store, clock=clock) as rig:
        yield rig


# -- new code reads the old -----------------------------------------------------------------------


async def test_a_store_has_what_it_was_given(left: Left, stated: dict[str, Any]) -> None:
    async with await left.store() as store:
        found = await files.content(store)
    assert found["heads"] == stated["heads"]
    # DynamoDB's records of a collection have an order, collections have not.
    assert sorted(map(repr, found["records"])) == sorted(map(repr, stated["records"]))
    assert found["hosts"] == stated["hosts"] == [["host-1", "http://127.0.0.1:1234", 1701000000.0]]


async def test_actors_go_on(left: Left) -> None:
    async with process(await left.store(), left.clock) as rig:
        client = rig.client
        keeper = client.get_or_create(Keeper, KEY)
        things = await keeper.look()
        assert (things.lines, things.calls, things.raw) == (["first"], 2, b"\x00\xff")
        assert things.when.isoformat() == "2026-01-02T03:04:05+00:00"
        # Answers are stored ones: nothing is counted again.
        for size, answer in (("small", "small"), ("large", LARGE)):
            assert await client.with_options(keeper, idempotency_key=size).answer(size) == answer
        once = client.with_options(keeper, idempotency_key="once")
        assert await once.once_only() == "done 1"
        assert (await keeper.look()).calls == 2
        assert await keeper.kept() == ["value", [0, 1]]
        # Beside the present call's own.
        assert sorted(await keeper.who()) == ["ada", "nobody"]
        assert await keeper.take() == ["one", "two"]
        assert await keeper.take() == []
        assert (await client.get_or_create(Keeper, "large").look()).lines == [LONG]
        assert (await client.get_or_create(Keeper, "reborn").look()).lines == ["again"]
        assert (await client.get_or_create(Keeper, "coded").note("x")) == ["x"]
        assert await client.get_or_create(Failing, "f").letters() == ["message user.no"]
        assert (await client.get_or_create(Done, "d").look()).lines == []


async def test_time_goes_on(left: Left) -> None:
    async with process(await left.store(), left.clock) as rig:
        keeper, journey = (
            rig.client.get_or_create(Keeper, KEY),
            rig.client.get_or_create(Journey, "j"),
        )
        # Its process is dead, and its lease runs out.
        held = rig.client.get_or_create(Keeper, "held")
        await rig.advance(31 * 60)
        assert await held.note("free") == ["free"]
        assert (await keeper.look()).lines == ["first", "scheduled"]
        await rig.advance(30 * 60)
        assert (await keeper.look()).lines == ["first", "scheduled", "cron"]
        before = await journey.lines()
        assert before[:4] == ["booked", "leg 0", "leg 1", "heard may I"]
        assert "arrived" not in before
        await rig.advance(7 * 3600)
        assert await journey.lines() == [*before, "arrived"]


async def test_what_was_to_be_sent_arrives_once(left: Left) -> None:
    async with process(await left.store(), left.clock) as rig:
        closed = rig.client.get_or_create(Closed, "c")
        await rig.advance(600)
        assert sorted(await closed.lines()) == ["last words", "letter"]
        await rig.advance(3600)
        assert sorted(await closed.lines()) == ["last words", "letter"]
        with pytest.raises(ActorError, match="not_found"):
            await rig.client.get(Keeper, "ending").look()


def shown(push: Push) -> object:
    """Return what a push carries, to be compared."""
    content = push.content
    if isinstance(content, EventPush):
        return content.name, list(content.args)
    return content


def test_envelopes_are_read(version: str) -> None:
    stored = files.read(version, "envelopes.json")
    pushes = stored["pushes"]
    read = envelopes.read_pushes(pushes["type"], bytes.fromhex(pushes["body"]))
    assert [(p.actor_id, p.version, p.index, p.conns) for p in read] == [
        (p.actor_id, p.version, p.index, p.conns) for p in write.PUSHES
    ]
    assert list(map(shown, read)) == list(map(shown, write.PUSHES))
    assert {type(push.content) for push in read} == {EventPush, RawPush, ClosePush}
    gone = envelopes.read_gone("application/json", stored["gone"].encode())
    assert gone == {"c1", "c2"}
    assert envelopes.read_hints(stored["hints"].encode()) == ("host", list(write.HINTS))
    assert {hint.topic for hint in write.HINTS} == set(Topic)
    kinds = [message["rivetless"] for message in stored["messages"]]
    assert set(kinds) == set(KINDS)
    assert stored["messages"][0] == {"rivetless": "wake", "actor": write.ID, "hops": 2}
    assert tuple(map(read_message, stored["messages"][3:])) == write.MESSAGES


def test_routes_of_sockets_are_read(version: str) -> None:
    stored = files.read(version, "envelopes.json")["routes"]
    assert set(stored) == {phase.value for phase in sockets.Phase}
    for route in write.ROUTES:
        state = stored[route.phase.value].encode()
        head = Head(write.ID, Address("$sockets", "socket0", ("c1",)), 1, state, 0.0)
        assert sockets.read_route(head) == route


async def test_an_export_is_replayed(version: str) -> None:
    export = Export.from_json(files.read(version, "export.json"))
    assert export.address == files.ADDRESSES[-1]
    assert await replay(Journey.__definition__, export) is None
    assert await replay(Done.__definition__, export) is not None


# -- each format has an example -------------------------------------------------------------------


def test_every_collection_has_an_example(stated: dict[str, Any]) -> None:
    found = Counter(record["collection"] for record in stated["records"])
    assert set(found) == set(Collection)


def test_every_attribute_of_a_head_has_an_example(stated: dict[str, Any]) -> None:
    told = {name for head in stated["heads"] for name, value in head.items() if value}
    assert told == {field.name for field in fields(Head)}


def test_every_attribute_of_a_record_has_an_example(stated: dict[str, Any]) -> None:
    told = {name for record in stated["records"] for name, value in record.items() if value}
    assert told - {"actor"} == {field.name for field in fields(Record)}


def test_every_entry_of_a_history_has_an_example(stated: dict[str, Any]) -> None:
    history = [record for record in stated["records"] if record["collection"] == "h"]
    kinds = {read_entry(files.raw(r["key"]), files.raw(r["data"])).kind for r in history}
    assert kinds == set(get_args(Kind))


async def test_every_effect_in_an_outbox_has_an_example(stated: dict[str, Any], left: Left) -> None:
    entries = [entry for head in stated["heads"] for entry in head["outbox"].values()]
    kinds = {files.raw(entry["data"]).partition(b"\0")[0].decode() for entry in entries}
    async with process(await left.store(), left.clock) as rig:
        assert kinds == set(rig.runtime.outgoings._handlers) == {SEND, MARK}


def test_connections_have_an_example(stated: dict[str, Any]) -> None:
    (found,) = (r for r in stated["records"] if r["collection"] == Collection.CONNECTION)
    record = Record(Collection.CONNECTION, files.raw(found["key"]), b"", host=found["host"])
    read = read_connection(replace(record, data=files.raw(found["data"])))
    assert isinstance(read, ConnInfo)
    assert read.params == {"name": "ada"}
    assert read.request is not None


def test_every_table_of_the_file_has_an_example(version: str, tmp_path: Path) -> None:
    path = tmp_path / "actors.db"
    files.load_sqlite((files.FOLDER / version / "actors.sql").read_text(), path)
    db = sqlite3.connect(path)
    try:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
        assert "heads" in tables
        for name in tables:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
            counts = ", ".join(f"count({column})" for column in columns)
            filled = db.execute(f"SELECT {counts} FROM {name}").fetchone()
            empty = [column for column, n in zip(columns, filled, strict=True) if not n]
            assert not empty, f"{name} has no example of {empty}"
    finally:
        db.close()


def test_every_attribute_of_the_table_has_an_example(version: str) -> None:
    items = files.read(version, "actors.dynamodb.json")
    told = {name for item in items for name in item}
    # A name in capitals that is a short text and no index is an attribute.
    names = {
        value
        for name, value in vars(table).items()
        if name.isupper() and isinstance(value, str) and not name.endswith("_INDEX")
    }
    names = names - {table.SEQUENCE, table.HOSTS} | {f"{table.SEQUENCE}q"}
    assert told == names
    assert any(item["pk"] == {"S": table.HOSTS} for item in items)


# -- old code meets new ---------------------------------------------------------------------------


async def everything(store: Store, stated: dict[str, Any]) -> list[object]:
    """Read what can be read without the head."""
    head = stated["heads"][0]["actor_id"]
    return [await store.records(head, collection) for collection in Collection]


async def test_a_newer_head_is_refused_by_the_store(left: Left, stated: dict[str, Any]) -> None:
    actor_id, version = stated["heads"][0]["actor_id"], stated["heads"][0]["version"]
    async with await left.newer() as newer:
        before = await everything(newer, stated)
        for ref in (KEEPER, actor_id):
            with pytest.raises(NewerFormat, match="record format 2"):
                await newer.load(ref)
        with pytest.raises(NewerFormat):
            await newer.commit(actor_id, Changes("c", state=b"old"), expected=version)
        assert await everything(newer, stated) == before
        assert await newer.current(actor_id, version)


async def test_callers_of_a_newer_actor_try_again(left: Left, stated: dict[str, Any]) -> None:
    newer = await left.newer()
    async with process(newer, left.clock) as rig:
        before = await everything(newer, stated)
        rig.client.get_or_create(Keeper, KEY)
        target = ByKey(KEEPER)
        for command in (
            CallAction(target, "look", []),
            CallAction(target, "note", ["old"]),
            SendMessage(target, "notes", "old"),
        ):
            with pytest.raises(ActorError) as caught:
                await rig.runtime.dispatch(command)
            assert caught.value.name == "actor.restarting"
        # Nobody else has to wait for newer code, whatever is due there.
        await rig.advance(9 * 3600)
        assert (await rig.client.get_or_create(Journey, "j").lines())[-1] == "arrived"
        assert await everything(newer, stated) == before
        assert await newer.current(stated["heads"][0]["actor_id"], stated["heads"][0]["version"])


async def test_a_newer_file_is_refused(version: str, tmp_path: Path) -> None:
    path = tmp_path / "actors.db"
    files.load_sqlite((files.FOLDER / version / "actors.sql").read_text(), path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 1000")
    db.close()
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match="schema version 1000"):
        async with SQLiteStore(path):
            pass
    assert path.read_bytes() == before


def test_newer_envelopes_are_refused(version: str) -> None:
    stored = files.read(version, "envelopes.json")
    push = [write.ID, 1, 0, ["c1"], "hologram", "x"]
    for body in (json.dumps([push]), json.dumps([[*push, "more"]]), json.dumps({"v": 2})):
        with pytest.raises(ActorError) as caught:
            envelopes.read_pushes("application/json", body.encode())
        assert caught.value.name == "actor.invalid_request"
    sender, hints = json.loads(stored["hints"])
    hints.append(["telepathy", write.ID, "w", 1.0])
    # A hint that is not known says nothing that would be missed.
    assert envelopes.read_hints(json.dumps([sender, hints]).encode())[1] == list(write.HINTS)
    message = stored["messages"][3] | {"rivetless": "connect 2"}
    with pytest.raises(ActorError) as caught:
        read_message(message)
    assert caught.value.name == "actor.invalid_request"


async def test_a_newer_export_is_refused(version: str) -> None:
    export = files.read(version, "export.json")
    with pytest.raises(ValueError, match="no export"):
        Export.from_json(export | {"rivetless": "workflow 2"})
    export["entries"]["book"]["kind"] = "dream"
    said = await replay(Journey.__definition__, Export.from_json(export))
    assert said is not None
    assert "dream" in said


def test_examples_are_written_for_this_version(version: str) -> None:
    import rivetless

    assert rivetless.__version__ in files.VERSIONS, "run scripts/golden"
    assert version in files.VERSIONS
