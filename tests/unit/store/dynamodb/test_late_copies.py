"""A transaction whose answer was lost is sent again; what came of that says nothing of the first.

Found by the simulator: the second was refused for a note in the outbox, the store wrote the same
message in another way, and when the note was gone the first arrived.
"""

from __future__ import annotations

import pytest

from rivetless.aws.client import AnswerLost, Payload, ServiceError
from rivetless.runtime.reconcile import Verdict, reconcile
from rivetless.store.base import (
    Append,
    Changes,
    Collection,
    Conflict,
    Full,
    OutcomeUnknown,
    Outgoing,
    Record,
    RecordKey,
    Store,
)
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import begin, changes
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy
from tests.unit.aws.scripted import QuickClock, ScriptedClient

NOTE = Outgoing("note", 1_700_000_000.0, b"kind\0 0\0 0\0")


class Slow(ScriptedClient):
    """Holds the next transaction back, and says that its answer was lost.

    Attributes:
        hold: whether it does so with the next one.
        held: what it holds.
    """

    def __init__(self, service: SimulatedDynamoDB) -> None:
        super().__init__(behind=service)
        self.service = service
        self.hold = False
        self.held: list[Payload] = []

    async def call(self, operation: str, payload: Payload) -> Payload:
        if self.hold and operation == "TransactWriteItems":
            self.hold = False
            self.held.append(payload)
            raise AnswerLost("time-out")
        return await super().call(operation, payload)

    def arrive(self) -> None:
        """Let what is held arrive."""
        for payload in self.held:
            self.service.answer("TransactWriteItems", payload)


@pytest.fixture
def service() -> SimulatedDynamoDB:
    made = SimulatedDynamoDB(FakeClock())
    deploy(made, "actors")
    return made


async def test_a_message_is_not_written_twice(service: SimulatedDynamoDB) -> None:
    slow = Slow(service)
    async with (
        DynamoDBStore("actors", client=slow, clock=QuickClock()) as store,
        DynamoDBStore("actors", client=service, clock=QuickClock()) as other,
    ):
        life = await begin(store)
        # The store does not know of the note that another process has made meanwhile.
        await other.commit(life.id, changes(outbox_add=(NOTE,)), expected=None)
        slow.hold = True
        message = changes(appends=(Append(Collection.MESSAGE, b"x"),), outbox_add=(NOTE,))
        with pytest.raises(OutcomeUnknown):
            await store.commit(life.id, message, expected=None)
        await other.commit(life.id, changes(outbox_clear=(NOTE.id,)), expected=None)
        slow.arrive()
        assert len(await store.records(life.id, Collection.MESSAGE)) == 1


async def test_a_message_that_others_have_overtaken_is_written_anew(
    service: SimulatedDynamoDB,
) -> None:
    slow = Slow(service)
    async with (
        DynamoDBStore("actors", client=slow, clock=QuickClock()) as store,
        DynamoDBStore("actors", client=service, clock=QuickClock()) as other,
    ):
        life = await begin(store)
        await other.commit(
            life.id, changes(appends=(Append(Collection.MESSAGE, b"y"),)), expected=None
        )
        slow.hold = True
        message = changes(appends=(Append(Collection.MESSAGE, b"x"),))
        await store.commit(life.id, message, expected=None)
        with pytest.raises(ServiceError):
            slow.arrive()
        records = await store.records(life.id, Collection.MESSAGE)
        assert [record.data for record in records] == [b"y", b"x"]


async def test_a_limit_that_refuses_may_not_refuse_later(service: SimulatedDynamoDB) -> None:
    slow = Slow(service)
    message = changes(
        appends=(Append(Collection.MESSAGE, b"x"),), counters={"n": 1}, at_most={"n": 1}
    )
    async with DynamoDBStore("actors", client=slow, clock=QuickClock()) as store:
        life = await begin(store)
        await store.commit(life.id, changes(counters={"n": 1}), expected=None)
        with pytest.raises(Full):
            await store.commit(life.id, message, expected=None)
        slow.hold = True
        with pytest.raises(OutcomeUnknown):
            await store.commit(life.id, message, expected=None)
        await store.commit(life.id, changes(counters={"n": -1}), expected=None)
        slow.arrive()
        assert len(await store.records(life.id, Collection.MESSAGE)) == 1


async def test_a_version_that_has_moved_refuses_for_good(service: SimulatedDynamoDB) -> None:
    slow = Slow(service)
    async with (
        DynamoDBStore("actors", client=slow, clock=QuickClock()) as store,
        DynamoDBStore("actors", client=service, clock=QuickClock()) as other,
    ):
        life = await begin(store)
        await other.commit(life.id, changes(state=b"newer"), expected=1)
        slow.hold = True
        message = changes(state=b"late", appends=(Append(Collection.MESSAGE, b"x"),))
        with pytest.raises(Conflict):
            await store.commit(life.id, message, expected=1)
        with pytest.raises(ServiceError):
            slow.arrive()


LISTENS = Record(Collection.SUBSCRIPTION, b"said\0c1", b"host")


@pytest.mark.parametrize("removes", [False, True])
async def test_records_of_an_unknown_outcome_undo_nothing_newer(
    service: SimulatedDynamoDB, removes: bool
) -> None:
    """Neither the copy that is late nor the one that was sent to find out."""
    put = changes(puts=(LISTENS,))
    delete = changes(deletes=(RecordKey(LISTENS.collection, LISTENS.key),))
    first, newer = (delete, put) if removes else (put, delete)
    slow = Slow(service)
    async with (
        DynamoDBStore("actors", client=slow, clock=QuickClock(), patience=0.0) as store,
        DynamoDBStore("actors", client=service, clock=QuickClock()) as other,
    ):
        life = await begin(store, puts=(LISTENS,) if removes else ())
        slow.hold = True
        with pytest.raises(OutcomeUnknown):
            await store.commit(life.id, first, expected=None)
        assert await settled(store, life.id, first) == Verdict(applied=True)
        await other.commit(life.id, newer, expected=None)
        slow.arrive()
        expected = [LISTENS] if removes else []
        assert await other.records(life.id, LISTENS.collection) == expected
        assert await settled(store, life.id, first) == Verdict(applied=True)
        assert await other.records(life.id, LISTENS.collection) == expected


async def settled(store: Store, actor_id: str, made: Changes) -> Verdict:
    return await reconcile(store, actor_id, made, 1)
