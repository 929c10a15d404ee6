"""Faults that no emulator shows, injected between the store and one."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from rivetless.aws.choice import choose_client
from rivetless.aws.client import AnswerLost, Client, Payload, ServiceError
from rivetless.aws.services import DYNAMODB
from rivetless.clock import SystemClock
from rivetless.runtime.reconcile import Verdict, reconcile
from rivetless.store.base import (
    Append,
    Changes,
    Collection,
    Creation,
    OutcomeUnknown,
    Outgoing,
    Record,
    TooLarge,
)
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.testing.contracts.base import Life, address, begin, changes, life_of
from tests.unit.aws.scripted import ScriptedClient
from tests.unit.store.dynamodb.scripted import throttled

pytestmark = pytest.mark.aws

RECORD = Record(Collection.CONNECTION, b"c1", b"data")


class Losing(ScriptedClient):
    """Loses answers of writes.

    Attributes:
        lost: how many of the next ones: they are made, and nothing comes back.
        held: how many of the next ones are on their way for long: their sender hears nothing, and
            they arrive when they are let go.
    """

    lost = 0
    held = 0

    def __init__(self, behind: Client) -> None:
        super().__init__(behind=behind)
        self._behind = behind
        self._on_their_way: list[tuple[str, Payload]] = []

    async def arrive(self) -> list[str]:
        """Let what is on its way arrive, for a second time too; return how it is answered."""
        answers: list[str] = []
        for operation, payload in self._on_their_way:
            try:
                await self._behind.call(operation, payload)
            except ServiceError as error:
                answers.append(error.code)
            else:
                answers.append("done")
        return answers

    async def call(self, operation: str, payload: Payload) -> Payload:
        if self.held and operation in ("PutItem", "UpdateItem", "TransactWriteItems"):
            self.held -= 1
            self._on_their_way.append((operation, payload))
            raise AnswerLost("time-out")
        answer = await super().call(operation, payload)
        if self.lost and operation in ("PutItem", "UpdateItem", "TransactWriteItems"):
            self.lost -= 1
            raise AnswerLost("time-out")
        return answer


@pytest.fixture
def real(ministack: str) -> Client:
    return choose_client(DYNAMODB, endpoint=ministack, clock=SystemClock(), environ={})


@pytest.fixture
def client(real: Client) -> Losing:
    return Losing(real)


@pytest.fixture
async def store(client: Losing, new_table: Callable[[], str]) -> AsyncIterator[DynamoDBStore]:
    async with DynamoDBStore(new_table(), client=client) as store:
        await store.create_table()
        yield store


async def test_a_lost_acknowledgement_is_found(store: DynamoDBStore, client: Losing) -> None:
    life = await begin(store)
    made = changes(state=b"new")
    client.lost = 1
    with pytest.raises(OutcomeUnknown):
        await store.commit(life.id, made, expected=1)
    assert await reconcile(store, life.id, made, 1) == Verdict(applied=True, version=2)
    # With a later commit on top it is found too.
    life.version = 2
    await life.commit(state=b"newer")
    assert await reconcile(store, life.id, made, 1) == Verdict(applied=True, version=3)


async def test_a_commit_that_never_arrived_is_made_again(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store)
    made = changes(state=b"new")
    client.answers = [AnswerLost("time-out")]
    with pytest.raises(OutcomeUnknown):
        await store.commit(life.id, made, expected=1)
    assert await reconcile(store, life.id, made, 1) == Verdict(applied=True, version=2)
    assert (await life.head()).state == b"new"


async def test_a_write_that_arrives_after_it_was_given_up_is_refused(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store)
    made = changes(state=b"late", counters={"n": 1})
    client.held = 1
    with pytest.raises(OutcomeUnknown):
        await store.commit(life.id, made, expected=1)
    assert await reconcile(store, life.id, made, 1) == Verdict(applied=True, version=2)
    assert await client.arrive() == ["ConditionalCheckFailedException"]
    head = await life.head()
    assert (head.state, head.counters["n"]) == (b"late", 1)


async def test_a_transaction_that_arrives_after_its_repetition_does_nothing(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store)
    client.held = 1
    made = changes(
        appends=(Append(Collection.MESSAGE, b"x"),), puts=(RECORD,), counters={"n": 1}, touch=True
    )
    assert await store.commit(life.id, made, expected=1) == 2
    await life.store.commit(life.id, changes(counters={"n": 5}), expected=None)
    assert await client.arrive() == ["done"]
    head = await life.head()
    assert (head.version, head.counters, head.sequences) == (2, {"n": 6}, {"q": 1})
    assert len(await store.records(life.id, Collection.MESSAGE)) == 1


async def test_a_creation_that_arrives_again_begins_nothing(
    store: DynamoDBStore, client: Losing
) -> None:
    where = address()
    life, made = life_of(where), changes(create=Creation(where, 1.0), state=b"new")
    client.held = 1
    with pytest.raises(OutcomeUnknown):
        await store.commit(life, made, expected=0)
    assert await reconcile(store, life, made, 0) == Verdict(applied=True, version=1)
    assert await client.arrive() == ["ConditionalCheckFailedException"]
    await store.commit(life, changes(destroyed_at=2.0), expected=1)
    assert await client.arrive() == ["ConditionalCheckFailedException"]
    assert await store.drain(life)
    assert await client.arrive() == ["ConditionalCheckFailedException"]
    assert await reconcile(store, life, made, 0) == Verdict(applied=None)
    assert await store.load(where) is None
    # Nor does it when another life has come and gone.
    other = await begin(store, where)
    await other.destroy()
    assert await store.drain(other.id)
    assert await client.arrive() == ["ConditionalCheckFailedException"]
    assert await reconcile(store, life, made, 0) == Verdict(applied=None)


async def test_a_large_state_that_lost_its_answer_is_whole(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store, state=bytes(500_000))
    client.held, client.lost = 1, 1
    state = b"\1" * 900_000
    assert await life.commit(state=state) == 2
    assert await client.arrive() == ["done"]
    assert (await life.head()).state == state


async def test_a_transaction_that_lost_its_answer_counts_once(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store)
    client.lost = 2
    await store.commit(life.id, changes(puts=(RECORD,), counters={"n": 1}), expected=None)
    assert client.operations.count("TransactWriteItems") == 3
    assert (await life.head()).counters == {"n": 1}


async def test_throttling_and_other_transactions_are_waited_out(
    store: DynamoDBStore, client: Losing
) -> None:
    life = await begin(store)
    client.answers = [throttled(), ServiceError("TransactionConflictException", 400, "", {})]
    assert await life.commit(state=b"new") == 2
    assert (await life.head()).state == b"new"


async def test_processes_add_up_on_one_actor(
    store: DynamoDBStore, ministack: str, client: Losing
) -> None:
    life = await begin(store, counters={"n": 0})

    async def work(number: int) -> None:
        async with DynamoDBStore(store.table, endpoint=ministack) as mine:
            for _ in range(10):
                own = Record(Collection.REPLY, b"%d" % number, b"x")
                await mine.commit(
                    life.id, changes(counters={"n": 1}, puts=(own,)[: number % 2]), expected=None
                )

    await asyncio.gather(*(work(number) for number in range(4)))
    assert (await life.head()).counters == {"n": 40}


async def test_a_state_that_is_written_while_it_is_read_is_read_whole(
    store: DynamoDBStore, ministack: str
) -> None:
    sizes = [700_000, 350_000, 1_200_000]
    life = await begin(store, state=bytes(sizes[0]))

    async def write(mine: Life) -> None:
        for number in range(1, 7):
            await mine.commit(state=bytes([number]) * sizes[number % 3])

    async with DynamoDBStore(store.table, endpoint=ministack) as mine:
        writing = asyncio.ensure_future(write(Life(mine, life.id, life.address, 1)))
        while not writing.done():
            state = (await life.head()).state
            assert state is not None
            assert len(state) in sizes
            assert len(set(state)) == 1
        await writing
    assert (await life.head()).state == bytes([6]) * sizes[0]


async def test_many_outbox_entries_at_once(store: DynamoDBStore) -> None:
    life = await begin(store)
    entries = tuple(Outgoing(f"o{n}", 1_700_000_000.0 + n, b"x") for n in range(300))
    await life.commit(outbox_add=entries)
    assert list((await life.head()).outbox) == [entry.id for entry in entries]
    found = await store.due(1_700_000_000.0, limit=10)
    assert [due.actor_id for due in found] == [life.id]
    await life.commit(outbox_clear=tuple(entry.id for entry in entries))
    assert await store.due(4_000_000_000.0, limit=10) == []


async def test_keys_too_long_for_the_table_are_refused(store: DynamoDBStore) -> None:
    life = await begin(store)
    longest = Record(Collection.REPLY, b"k" * 1016, b"x")
    await life.commit(puts=(longest,))
    assert await store.records(life.id, Collection.REPLY) == [longest]
    with pytest.raises(TooLarge, match="record key"):
        await store.commit(
            life.id, Changes("c", puts=(Record(Collection.REPLY, b"k" * 1017, b""),)), expected=None
        )


async def test_a_head_too_large_for_an_item_is_refused_whole(store: DynamoDBStore) -> None:
    life = await begin(store, state=bytes(200_000))
    before = await life.head()
    large = Outgoing("o", 1_700_000_000.0, bytes(220_000))
    for puts in ((), (RECORD,)):
        with pytest.raises(TooLarge, match="head"):
            await store.commit(
                life.id, changes(touch=True, outbox_add=(large,), puts=puts), expected=1
            )
    assert await life.head() == before
    assert await store.records(life.id, Collection.CONNECTION) == []
