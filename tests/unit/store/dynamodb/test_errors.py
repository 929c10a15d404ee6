"""What callers learn from AWS's errors, and what is tried again."""

import pytest

from rivetless.aws.client import AnswerLost, NotSent, Payload, ServiceError
from rivetless.clock import until
from rivetless.store.base import (
    Changes,
    Collection,
    Conflict,
    Gone,
    NewerFormat,
    OutcomeUnknown,
    Record,
    StoreError,
    TooLarge,
    Unavailable,
)
from rivetless.store.dynamodb import DynamoDBStore
from tests.unit.aws.scripted import Answer, QuickClock, ScriptedClient
from tests.unit.store.dynamodb.scripted import ACTOR, cancelled, head_item, refused, throttled

NONE = {"Code": "None"}
STATE = Changes("c2", state=b"x")
RECORD = Changes("c2", touch=True, puts=(Record(Collection.REPLY, b"k", b""),))
DEAD = dict(head_item(1)) | {"died": {"N": "5"}, "wake_at": {"N": "5"}}
OTHER = dict(head_item(1)) | {"life": {"B": bytes(7)}}
NEWER = dict(head_item(1)) | {"fmt": {"N": "99"}}


def failed(item: object) -> dict[str, object]:
    return {"Code": "ConditionalCheckFailed", "Item": item}


def service(code: str, message: str = "", status: int = 400) -> ServiceError:
    return ServiceError(code, status, message, {})


async def commit(client: ScriptedClient, changes: Changes = STATE) -> int:
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        return await store.commit(ACTOR, changes, expected=1)


@pytest.mark.parametrize(
    ("changes", "answer", "error"),
    [
        (STATE, refused(None), Gone),
        (STATE, refused(OTHER), Gone),
        (STATE, refused(DEAD), Gone),
        (STATE, refused(head_item(2)), Conflict),
        (STATE, refused(NEWER), NewerFormat),
        (RECORD, cancelled({"Code": "ConditionalCheckFailed"}, NONE), Gone),
        (RECORD, cancelled(failed(DEAD), NONE), Gone),
        (RECORD, cancelled(failed(head_item(2)), NONE), Conflict),
        (RECORD, cancelled(failed(head_item(2)), {"Code": "ThrottlingError"}), Conflict),
        (RECORD, cancelled(NONE, {"Code": "ItemCollectionSizeLimitExceeded"}), TooLarge),
        (
            RECORD,
            cancelled(
                {"Code": "ValidationError", "Message": "Item size to update has exceeded the"
                 " maximum allowed size"},
                NONE,
            ),
            TooLarge,
        ),
        (
            STATE,
            service("ValidationException", "Item size has exceeded the maximum allowed size"),
            TooLarge,
        ),
        (STATE, service("AccessDeniedException"), Unavailable),
        (STATE, service("ResourceNotFoundException"), Unavailable),
        (STATE, service("UnrecognizedClientException"), Unavailable),
        (STATE, service("InternalServerError", status=500), OutcomeUnknown),
        (STATE, service("ServiceUnavailable", status=503), OutcomeUnknown),
        (STATE, AnswerLost("time-out"), OutcomeUnknown),
    ],
    ids=str,
)  # fmt: skip
async def test_final_answers(changes: Changes, answer: Answer, error: type[StoreError]) -> None:
    client = ScriptedClient(answer)
    with pytest.raises(error) as raised:
        await commit(client, changes)
    assert type(raised.value) is error
    assert len(client.calls) == 1


async def test_a_conflict_shows_the_head_that_the_refusal_brought() -> None:
    with pytest.raises(Conflict) as raised:
        await commit(ScriptedClient(refused(head_item(8))))
    assert raised.value.current is not None
    assert raised.value.current.version == 8


async def test_a_conflict_with_a_head_in_pieces_or_of_newer_code_shows_none() -> None:
    pieces = dict(head_item(8)) | {"chunks": {"M": {"n": {"N": "2"}, "v": {"N": "8"}}}}
    newer = dict(head_item(8)) | {"fmt": {"N": "99"}}
    for item in (pieces, newer):
        with pytest.raises(Conflict) as raised:
            await commit(ScriptedClient(refused(item)))
        assert raised.value.current is None


@pytest.mark.parametrize(
    "answer",
    [throttled(), NotSent("no route"), service("TransactionConflictException")],
    ids=str,
)
async def test_what_wrote_nothing_is_sent_again(answer: Exception) -> None:
    client = ScriptedClient(answer, answer, answer)
    assert await commit(client) == 2
    assert len(client.calls) == 4


@pytest.mark.parametrize("answer", [throttled(), NotSent("no route")], ids=str)
async def test_patience_ends(answer: Exception) -> None:
    clock = QuickClock()
    client = ScriptedClient(*[answer] * 1000)
    began = clock.now()
    async with DynamoDBStore("actors", client=client, clock=clock, patience=3) as store:
        with pytest.raises(Unavailable):
            await store.commit(ACTOR, STATE, expected=1)
    assert clock.now() - began <= 3
    assert 5 < len(client.calls) < 1000
    assert len(set(clock.waits)) > 3, "pauses are random"


@pytest.mark.parametrize("answer", [throttled(), NotSent("no route")], ids=str)
async def test_patience_ends_with_the_callers_deadline(answer: Exception) -> None:
    clock = QuickClock()
    client = ScriptedClient(*[answer] * 1000)
    began = clock.now()
    async with DynamoDBStore("actors", client=client, clock=clock, patience=60) as store:
        with until(began + 2), pytest.raises(Unavailable):
            await store.commit(ACTOR, STATE, expected=1)
        assert clock.now() - began <= 2
        assert len(client.calls) > 3
        # Whose time is over already makes one attempt, and no more.
        client.calls.clear()
        with until(began), pytest.raises(Unavailable):
            await store.commit(ACTOR, STATE, expected=1)
        assert len(client.calls) == 1


async def test_what_is_left_of_a_batch_waits_no_longer_than_the_caller() -> None:
    clock = QuickClock()
    began = clock.now()
    head = head_item()
    left: Payload = {"UnprocessedItems": {"actors": [{"DeleteRequest": {"Key": {}}}]}}
    child = {"pk": head["pk"], "sk": {"B": head["life"]["B"] + b"c"}}
    client = ScriptedClient({"Item": DEAD}, {"Items": [child]}, *[left] * 1000)
    async with DynamoDBStore("actors", client=client, clock=clock) as store:
        with until(began + 2), pytest.raises(Unavailable):
            await store.drain(ACTOR)
    assert clock.now() - began <= 2


async def test_transactions_that_only_met_others_are_sent_again() -> None:
    client = ScriptedClient(
        cancelled({"Code": "TransactionConflict"}, NONE),
        cancelled(NONE, {"Code": "ProvisionedThroughputExceeded"}),
        service("TransactionInProgressException"),
    )
    assert await commit(client, RECORD) == 2
    assert len(client.calls) == 4


async def test_a_transaction_without_an_answer_is_sent_again_with_its_token() -> None:
    client = ScriptedClient(AnswerLost("time-out"), service("InternalServerError", status=500))
    assert await commit(client, RECORD) == 2
    tokens = {payload["ClientRequestToken"] for _, payload in client.calls}
    assert len(client.calls) == 3
    assert len(tokens) == 1


async def test_once_an_answer_was_lost_the_end_is_unknown() -> None:
    client = ScriptedClient(AnswerLost("time-out"), *[throttled()] * 1000)
    with pytest.raises(OutcomeUnknown):
        await commit(client, RECORD)


async def test_reads_are_sent_again_whatever_happened() -> None:
    client = ScriptedClient(
        AnswerLost("time-out"),
        service("InternalServerError", status=500),
        throttled(),
        NotSent("no route"),
        {"Item": head_item(4)},
    )
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.current(ACTOR, 4)


async def test_batches_are_sent_until_nothing_is_left() -> None:
    life = head_item()["life"]["B"]
    keys = [{"pk": head_item()["pk"], "sk": {"B": life + b"c" + bytes([n])}} for n in range(30)]
    left = {"UnprocessedItems": {"actors": [{"DeleteRequest": {"Key": keys[3]}}]}}
    client = ScriptedClient({"Item": DEAD}, {"Items": keys}, left)
    async with DynamoDBStore("actors", client=client, clock=QuickClock()) as store:
        assert await store.drain(ACTOR)
    assert client.operations == [
        *("GetItem", "Query", "BatchWriteItem", "BatchWriteItem", "BatchWriteItem"),
        "PutItem",
    ]
    sizes = [len(payload["RequestItems"]["actors"]) for _, payload in client.calls[2:5]]
    assert sizes == [25, 1, 5]
