"""What the store asks of the service, request by request."""

import pytest

from rivetless.aws.client import Payload
from rivetless.store.base import (
    Changes,
    Collection,
    Creation,
    Lease,
    Outgoing,
    Record,
    RecordKey,
    Reply,
)
from rivetless.store.dynamodb import DynamoDBStore, table
from tests.unit.aws.scripted import QuickClock, ScriptedClient
from tests.unit.store.dynamodb.scripted import ACTOR, PLACE, head_item, refused

RECORD = Record(Collection.CONNECTION, b"c1", b"data")
VERSIONED = {
    *(table.VERSION, table.STATE, table.CHUNKS, table.WAKE_AT, table.DIED, table.LEASE),
    *(table.COMMITS, table.REPLIES, table.REPLIED, table.CODE, table.FORMAT),
}
COMMUTATIVE = {
    *(table.OUTBOX, table.OUTBOX_AT, table.OUTBOX_REV, table.COUNTERS, table.ARMED),
}


async def asked(changes: Changes, expected: int | None, client: ScriptedClient) -> Payload:
    """Make a commit; return its only request."""
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        await store.commit(ACTOR, changes, expected=expected)
    ((_, payload),) = client.calls
    return payload


def written(update: str) -> set[str]:
    """Return the top-level attributes that an update expression writes."""
    sets, _, removes = update.removeprefix("SET ").partition("REMOVE ")
    targets = [part.partition(" = ")[0] for part in sets.split(", ") if " = " in part]
    targets += [name for name in removes.split(", ") if name]
    return {target.strip().partition(".")[0].partition("[")[0] for target in targets}


async def test_a_warm_commit_is_one_conditional_write() -> None:
    client = ScriptedClient()
    payload = await asked(Changes("c2", state=b"new"), 1, client)
    assert client.operations == ["UpdateItem"]
    assert payload["Key"][table.SK] == {"B": b"HEAD"}
    assert payload["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
    assert payload["ReturnConsumedCapacity"] == "TOTAL"
    for name in (table.LIFE, table.DIED, table.VERSION, table.FORMAT):
        assert name in payload["ConditionExpression"]


async def test_versioned_commits_write_nothing_commutative() -> None:
    changes = Changes(
        "c2",
        state=b"new",
        alarm=5.0,
        lease=Lease("t", 5.0),
        touch=True,
    )
    payload = await asked(changes, 1, ScriptedClient())
    names = written(payload["UpdateExpression"])
    assert names >= {table.VERSION, table.STATE, table.WAKE_AT, table.LEASE, table.COMMITS}
    assert names <= VERSIONED


async def test_commutative_commits_write_nothing_versioned() -> None:
    changes = Changes(
        "c2", counters={"n": 1}, armed_until=7.0, outbox_add=(Outgoing("o", 1.0, b""),)
    )
    payload = await asked(changes, 1, ScriptedClient())
    assert written(payload["UpdateExpression"]) == COMMUTATIVE


async def test_what_shows_the_version_leaves_it() -> None:
    client = ScriptedClient({"Attributes": {table.VERSION: {"N": "7"}}})
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.commit(ACTOR, Changes("c", counters={"n": 1}), expected=None) == 7
    ((_, payload),) = client.calls
    assert f"{table.VERSION} = {table.VERSION}" in payload["UpdateExpression"]
    assert payload["ReturnValues"] == "UPDATED_NEW"


async def test_records_join_in_one_transaction() -> None:
    client = ScriptedClient()
    changes = Changes(
        "c2",
        state=b"new",
        puts=(Record(Collection.CONNECTION, b"c1", b"old"), RECORD),
        deletes=(RecordKey(Collection.REPLY, b"r"), RecordKey(Collection.CONNECTION, b"c1")),
    )
    payload = await asked(changes, 1, client)
    assert client.operations == ["TransactWriteItems"]
    kinds = [next(iter(request)) for request in payload["TransactItems"]]
    assert kinds == ["Update", "Put", "Delete"]
    assert payload["TransactItems"][1]["Put"]["Item"][table.STATE] == {"B": b"data"}
    assert len(payload["ClientRequestToken"]) <= 36


async def test_records_alone_only_check_the_head() -> None:
    payload = await asked(Changes("c2", puts=(RECORD,)), 3, ScriptedClient())
    kinds = [next(iter(request)) for request in payload["TransactItems"]]
    assert kinds == ["ConditionCheck", "Put"]


async def test_records_that_expire_are_removed_by_the_service_too() -> None:
    record = Record(Collection.REPLY, b"r", b"", expires_at=1_700_000_000.25)
    payload = await asked(Changes("c2", puts=(record,)), 3, ScriptedClient())
    item = payload["TransactItems"][1]["Put"]["Item"]
    assert item[table.EXPIRES] == {"N": "1700000000.25"}
    assert item[table.TTL] == {"N": "1700000001"}


async def test_creation_is_one_write() -> None:
    client = ScriptedClient()
    made = Changes(
        "c1", create=Creation(PLACE, 1.0), state=b"s", deletes=(RecordKey(Collection.REPLY, b"r"),)
    )
    payload = await asked(made, 0, client)
    assert client.operations == ["PutItem"]
    assert payload["ConditionExpression"] == f"attribute_not_exists({table.PK})"
    assert table.WAKE_AT not in payload["Item"], "the index is sparse"
    assert table.OUTBOX_AT not in payload["Item"]


async def test_large_states_are_written_in_pieces_in_the_same_transaction() -> None:
    client = ScriptedClient()
    payload = await asked(Changes("c2", state=bytes(1_000_000)), 4, client)
    assert client.operations == ["TransactWriteItems"]
    head, *pieces = payload["TransactItems"]
    assert table.CHUNKS in written(head["Update"]["UpdateExpression"])
    assert sum(len(piece["Put"]["Item"][table.STATE]["B"]) for piece in pieces) == 1_000_000
    assert {piece["Put"]["Item"][table.STAMP]["N"] for piece in pieces} == {"5"}


async def test_what_the_version_determines_is_read_once_and_remembered() -> None:
    reply = Reply("k", "h", b"r", 1_800_000_000.0)
    client = ScriptedClient({"Item": head_item(3)})
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        for version in (3, 4, 5):
            await store.commit(ACTOR, Changes("c", replies=(reply,)), expected=version)
    assert client.operations == ["GetItem", "UpdateItem", "UpdateItem", "UpdateItem"]
    slots = [payload["ExpressionAttributeNames"]["#0"] for _, payload in client.calls[1:]]
    assert slots == ["0", "1", "2"]


async def test_an_outbox_that_was_assumed_wrongly_is_written_whole() -> None:
    head = head_item(1)
    there = {"L": [{"N": "5"}, {"B": b""}]}
    head = head | {"outbox": {"M": {"o1": there, "o2": there}}, "outbox_rev": {"N": "2"}}  # type: ignore[operator]
    client = ScriptedClient(refused(head), {"Attributes": {"ver": {"N": "1"}}})
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.commit(ACTOR, Changes("c", outbox_clear=("o1",)), expected=None) == 1
    blind, whole = (payload for _, payload in client.calls)
    assert "size(outbox)" in blind["ConditionExpression"]
    assert "outbox_rev = " in whole["ConditionExpression"]
    assert {"M": {"o2": there}} in whole["ExpressionAttributeValues"].values()


async def test_validation_is_one_strong_read_of_two_attributes() -> None:
    client = ScriptedClient({"Item": head_item(3)})
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.current(ACTOR, 3)
    ((operation, payload),) = client.calls
    assert operation == "GetItem"
    assert payload["ConsistentRead"] is True
    assert payload["ProjectionExpression"] == f"{table.LIFE}, {table.VERSION}"


async def test_another_address_of_the_same_hash_is_not_found() -> None:
    item = dict(head_item()) | {table.KEY: {"S": "somebody else"}}
    client = ScriptedClient({"Item": item})
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.load(PLACE) is None


@pytest.mark.parametrize("name", ["", None])
def test_a_store_needs_a_table(name: str) -> None:
    with pytest.raises(ValueError, match="table"):
        DynamoDBStore(name, client=ScriptedClient())
