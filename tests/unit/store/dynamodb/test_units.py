"""What operations consume, as the service counts it. These are the figures of the docs."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from rivetless.aws.client import Client
from rivetless.store.base import Append, Changes, Collection, Outgoing, Record
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import Life, begin

RECORD = Record(Collection.CONNECTION, b"c1", b"data")
MESSAGE = Append(Collection.MESSAGE, b"data")
OUTGOING = Outgoing("o1", 1_700_000_000.0, b"effect")
PROCESS = "0123456789abcdef"


@pytest.fixture
async def store(
    make_client: Callable[[], Client], new_table: Callable[[], str]
) -> AsyncIterator[DynamoDBStore]:
    async with DynamoDBStore(new_table(), client=make_client(), clock=FakeClock()) as store:
        await store.create_table()
        yield store


@pytest.fixture
async def life(store: DynamoDBStore) -> Life:
    """A life whose head has all it will ever have: 32 commits of the runtime's kind."""
    life = await begin(store, state=bytes(300))
    for number in range(40):
        made = Changes(f"{PROCESS}.{number + 1000:x}", state=bytes(300))
        life.version = await store.commit(life.id, made, expected=life.version)
    store.consumed.clear()
    return life


def used(store: DynamoDBStore) -> tuple[dict[str, int], float, float]:
    """Return what was consumed since this was asked last."""
    consumed = store.consumed
    found = dict(consumed.requests), consumed.read_units, consumed.write_units
    consumed.clear()
    return found


async def test_a_cold_write_is_one_read_and_one_write(
    store: DynamoDBStore, life: Life, make_client: Callable[[], Client]
) -> None:
    async with DynamoDBStore(store.table, client=make_client(), clock=FakeClock()) as cold:
        head = await cold.load(life.address)
        assert head is not None
        made = Changes(f"{PROCESS}.ffff", state=bytes(300))
        await cold.commit(life.id, made, expected=head.version)
        assert used(cold) == ({"GetItem": 1, "UpdateItem": 1}, 1.0, 1.0)


async def test_a_warm_write_is_one_write(store: DynamoDBStore, life: Life) -> None:
    await store.commit(life.id, Changes(f"{PROCESS}.1", state=bytes(300)), expected=life.version)
    assert used(store) == ({"UpdateItem": 1}, 0.0, 1.0)


async def test_a_warm_read_is_one_read(store: DynamoDBStore, life: Life) -> None:
    assert await store.current(life.id, life.version)
    assert used(store) == ({"GetItem": 1}, 1.0, 0.0)


async def test_a_creation_is_one_write_and_one_of_the_list(store: DynamoDBStore) -> None:
    await begin(store)
    requests, reads, writes = used(store)
    requests = {name: n for name, n in requests.items() if name == "PutItem"}
    assert (requests, reads, writes) == ({"PutItem": 1}, 0.0, 2.0)


async def test_commutative_changes_are_one_write(store: DynamoDBStore, life: Life) -> None:
    await store.commit(life.id, Changes("c", counters={"n": 1}), expected=None)
    assert used(store) == ({"UpdateItem": 1}, 0.0, 1.0)
    await store.commit(life.id, Changes("c", armed_until=5.0), expected=None)
    assert used(store) == ({"UpdateItem": 1}, 0.0, 1.0)


async def test_an_outbox_costs_its_place_in_the_index(store: DynamoDBStore, life: Life) -> None:
    await life.commit(state=bytes(100), outbox_add=(OUTGOING,))
    assert used(store) == ({"UpdateItem": 1}, 0.0, 2.0)
    await life.commit(outbox_clear=("o1",))
    assert used(store) == ({"UpdateItem": 1}, 0.0, 2.0)


async def test_records_cost_a_transaction(store: DynamoDBStore, life: Life) -> None:
    await life.commit(state=bytes(100), puts=(RECORD,))
    assert used(store) == ({"TransactWriteItems": 1}, 0.0, 4.0)
    await store.records(life.id, Collection.CONNECTION)
    assert used(store) == ({"Query": 1}, 1.0, 0.0)


async def test_appending_is_one_transaction(
    store: DynamoDBStore, life: Life, make_client: Callable[[], Client]
) -> None:
    made = Changes("c", appends=(MESSAGE,), counters={"messages": 1}, at_most={"messages": 9})
    for _ in range(2):
        await store.commit(life.id, made, expected=None)
        requests, reads, writes = used(store)
        assert (requests, reads, writes) == ({"TransactWriteItems": 1}, 0.0, 4.0)
    async with DynamoDBStore(store.table, client=make_client(), clock=FakeClock()) as cold:
        await cold.load(life.id)
        await cold.commit(life.id, made, expected=None)
        requests, reads, writes = used(cold)
        assert (requests, reads, writes) == ({"TransactWriteItems": 1, "GetItem": 1}, 1.0, 4.0)
    # Somebody else has taken the next number meanwhile: the refusal shows the head.
    await store.commit(life.id, made, expected=None)
    assert used(store)[0] == {"TransactWriteItems": 2}


async def test_numbers_are_reserved_where_many_append(store: DynamoDBStore, life: Life) -> None:
    made = Changes("c", appends=(MESSAGE,))
    await asyncio.gather(*(store.commit(life.id, made, expected=None) for _ in range(12)))
    requests, _, _ = used(store)
    assert requests["TransactWriteItems"] <= 12 * 4
    assert requests["UpdateItem"] <= 12


async def test_nothing_due_costs_little(store: DynamoDBStore, life: Life) -> None:
    assert await store.due(4_000_000_000.0, limit=10) == []
    requests, reads, writes = used(store)
    assert requests == {"Query": 16}
    assert (reads, writes) <= (16.0, 0.0)


async def test_all_that_touches_a_large_head_costs_its_size(
    store: DynamoDBStore, life: Life
) -> None:
    """Also what changes nothing in it: a transaction pays twice for the condition on the life."""
    life.version = await store.commit(
        life.id, Changes("s", state=bytes(100 * 1024)), expected=life.version
    )
    store.consumed.clear()
    await store.commit(life.id, Changes("c", counters={"n": 1}), expected=None)
    assert used(store) == ({"UpdateItem": 1}, 0.0, 101.0)
    await store.commit(life.id, Changes("d", puts=(RECORD,)), expected=None)
    assert used(store) == ({"TransactWriteItems": 1}, 0.0, 204.0)
    await store.commit(life.id, Changes("e", appends=(MESSAGE,)), expected=None)
    assert used(store)[2] == 204.0
