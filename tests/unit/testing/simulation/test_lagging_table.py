"""Readers of the simulated DynamoDB who have not seen all, and items that outlive their end."""

from __future__ import annotations

from typing import Any

import pytest

from rivetless.aws.client import Payload, ServiceError
from rivetless.store.base import Collection, Record
from rivetless.store.dynamodb import DynamoDBStore, table
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import begin
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy
from tests.contracts.dynamodb_requests import definition

LAG = 2.0
TABLE = "t"


class Readers:
    """A table, and how many changes its readers have not seen.

    Attributes:
        unseen: by what is read; the rest is seen.
        asked: what was asked about, and the most that may be unseen of it.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.unseen: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        self.service = SimulatedDynamoDB(self.clock, unseen=self._choose, lag=LAG, ttl_delay=100.0)
        self.service.answer("CreateTable", definition(TABLE))

    def _choose(self, site: str, most: int) -> int:
        self.asked.append((site, most))
        return self.unseen.get(site, 0)

    def put(self, n: int, group: str | None = "g1", **more: Any) -> None:
        item = key() | {"n": {"N": str(n)}} | more
        if group is not None:
            item |= {"g": {"S": group}, "r": {"B": b"r"}}
        self.service.answer("PutItem", {"TableName": TABLE, "Item": item})

    def delete(self) -> None:
        self.service.answer("DeleteItem", {"TableName": TABLE, "Key": key()})

    def get(self, *, consistent: bool = False) -> str | None:
        request: Payload = {"TableName": TABLE, "Key": key(), "ConsistentRead": consistent}
        return number(self.service.answer("GetItem", request).get("Item"))

    def batch(self, *, consistent: bool = False) -> list[str | None]:
        part = {"Keys": [key()], "ConsistentRead": consistent}
        answer = self.service.answer("BatchGetItem", {"RequestItems": {TABLE: part}})
        return list(map(number, answer["Responses"][TABLE]))

    def query(self, *, consistent: bool = False) -> list[str | None]:
        return self._queried("p = :h", "a", ConsistentRead=consistent)

    def index(self, group: str = "g1", name: str = "wide") -> list[str | None]:
        return self._queried("g = :h", group, IndexName=name)

    def _queried(self, condition: str, value: str, **more: Any) -> list[str | None]:
        request: Payload = {
            "TableName": TABLE,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {":h": {"S": value}},
            **more,
        }
        return list(map(number, self.service.answer("Query", request)["Items"]))

    def add(self) -> None:
        """Write on the condition that what was written last is there."""
        request: Payload = {
            "TableName": TABLE,
            "Key": key(),
            "UpdateExpression": "SET n = n + :one",
            "ConditionExpression": "n = :last",
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":last": {"N": "2"}},
        }
        self.service.answer("UpdateItem", request)


def key() -> dict[str, Any]:
    return {"p": {"S": "a"}, "s": {"N": "1"}}


def number(item: dict[str, Any] | None) -> str | None:
    return None if item is None else item.get("n", {}).get("N")


@pytest.fixture
def readers() -> Readers:
    return Readers()


def test_readers_see_everything_unless_told_otherwise() -> None:
    clock = FakeClock()
    service = SimulatedDynamoDB(clock)
    service.answer("CreateTable", definition(TABLE))
    service.answer("PutItem", {"TableName": TABLE, "Item": key()})
    assert service.answer("GetItem", {"TableName": TABLE, "Key": key()})["Item"] == key()


def test_reads_that_insist_see_the_latest(readers: Readers) -> None:
    readers.unseen["table"] = 9
    readers.put(1)
    readers.put(2)
    assert readers.get(consistent=True) == "2"
    assert readers.batch(consistent=True) == ["2"]
    assert readers.query(consistent=True) == ["2"]
    assert readers.asked == []


@pytest.mark.parametrize(("unseen", "seen"), [(0, "2"), (1, "1"), (2, None), (9, None)])
def test_other_reads_see_an_item_as_it_was(readers: Readers, unseen: int, seen: str | None) -> None:
    readers.put(1)
    readers.put(2)
    readers.unseen["table"] = unseen
    some = [] if seen is None else [seen]
    assert readers.get() == seen
    assert readers.batch() == some
    assert readers.query() == some
    assert set(readers.asked) == {("table", 2)}


def test_what_was_deleted_may_be_seen(readers: Readers) -> None:
    readers.put(1)
    readers.delete()
    readers.unseen["table"] = 1
    assert (readers.get(), readers.query()) == ("1", ["1"])
    readers.unseen["table"] = 0
    assert (readers.get(), readers.query()) == (None, [])


def test_in_the_end_everybody_sees_everything(readers: Readers) -> None:
    readers.unseen |= {"table": 9, "wide": 9}
    readers.put(1)
    readers.clock.jump(LAG / 2)
    readers.put(2)
    readers.clock.jump(LAG / 2)
    # The first change is two seconds old, the second one is not.
    assert (readers.get(), readers.index()) == ("1", ["1"])
    readers.clock.jump(LAG / 2)
    assert (readers.get(), readers.index()) == ("2", ["2"])


def test_an_index_lags_by_itself(readers: Readers) -> None:
    readers.put(1)
    readers.put(2)
    readers.unseen["wide"] = 1
    assert (readers.get(), readers.index()) == ("2", ["1"])
    readers.unseen["wide"] = 2
    assert readers.index() == []
    # What the other one shows has not changed with the number.
    assert len(readers.index(name="narrow")) == 1
    assert readers.asked[-1] == ("narrow", 1)


def test_an_entry_that_moved_is_in_its_old_place_and_nowhere_else(readers: Readers) -> None:
    readers.put(1, "g1")
    readers.put(2, "g2")
    readers.unseen["wide"] = 1
    assert (readers.index("g1"), readers.index("g2")) == (["1"], [])
    readers.unseen["wide"] = 0
    assert (readers.index("g1"), readers.index("g2")) == ([], ["2"])


def test_an_entry_that_left_the_index_may_be_seen(readers: Readers) -> None:
    readers.put(1)
    readers.put(2, None)
    readers.unseen["wide"] = 1
    assert readers.index() == ["1"]
    readers.delete()
    readers.unseen["wide"] = 0
    assert readers.index() == []


def test_writes_see_everything(readers: Readers) -> None:
    readers.put(1)
    readers.put(2)
    readers.unseen["table"] = 9
    readers.add()
    assert readers.get(consistent=True) == "3"
    with pytest.raises(ServiceError, match="conditional"):
        readers.add()
    assert readers.asked == []


# -- what ends -----------------------------------------------------------------------------------


def keep(readers: Readers, *, enabled: bool = True) -> None:
    readers.service.answer(
        "UpdateTimeToLive",
        {
            "TableName": TABLE,
            "TimeToLiveSpecification": {"AttributeName": "ends", "Enabled": enabled},
        },
    )


def ends(readers: Readers, seconds: float) -> dict[str, Any]:
    return {"ends": {"N": str(int(readers.clock.now() + seconds))}}


def test_an_item_outlives_its_end_by_the_delay(readers: Readers) -> None:
    keep(readers)
    readers.put(1, **ends(readers, 10))
    readers.clock.jump(109)
    assert (readers.get(consistent=True), readers.index()) == ("1", ["1"])
    readers.clock.jump(2)
    assert (readers.get(consistent=True), readers.index()) == (None, [])
    assert list(readers.service.items(TABLE)) == []


def test_a_removal_is_a_change_like_any_other(readers: Readers) -> None:
    keep(readers)
    readers.put(1, **ends(readers, 10))
    readers.clock.jump(111)
    readers.unseen |= {"table": 1, "wide": 1}
    assert (readers.get(consistent=True), readers.get(), readers.index()) == (None, "1", ["1"])


def test_an_item_that_was_written_again_ends_when_that_says(readers: Readers) -> None:
    keep(readers)
    readers.put(1, **ends(readers, 10))
    readers.put(2, **ends(readers, 1000))
    readers.clock.jump(500)
    assert readers.get(consistent=True) == "2"
    readers.put(3)
    readers.clock.jump(5000)
    assert readers.get(consistent=True) == "3"


@pytest.mark.parametrize(
    "end", [{"S": "1"}, {"N": "1"}], ids=["a text is no time", "what ended long ago is no time"]
)
def test_what_never_ends(readers: Readers, end: dict[str, str]) -> None:
    keep(readers)
    readers.put(1, ends=end)
    readers.clock.jump(5000)
    assert readers.get(consistent=True) == "1"


def test_items_end_in_tables_only_that_say_so(readers: Readers) -> None:
    readers.put(1, **ends(readers, 10))
    readers.clock.jump(5000)
    assert readers.get(consistent=True) == "1"
    keep(readers)
    assert readers.get(consistent=True) is None
    readers.put(2, **ends(readers, 10))
    keep(readers, enabled=False)
    readers.clock.jump(5000)
    assert readers.get(consistent=True) == "2"


async def test_the_store_shows_nothing_that_has_ended_and_is_still_there() -> None:
    clock = FakeClock()
    service = SimulatedDynamoDB(clock, ttl_delay=48 * 3600.0)
    deploy(service)
    async with DynamoDBStore("actors", client=service, clock=clock) as store:
        record = Record(Collection.CONNECTION, b"c", b"", clock.now() + 10, "host")
        life = await begin(store, puts=(record,))
        assert await store.hosted("host") == [(life.id, record)]
        clock.jump(3600)
        assert await store.records(life.id, Collection.CONNECTION) == []
        assert await store.hosted("host") == []
        left = [item for item in service.items("actors") if table.TTL in item]
        assert len(left) == 1
        clock.jump(48 * 3600.0)
        assert await store.hosted("host") == []
        assert [item for item in service.items("actors") if table.TTL in item] == []
