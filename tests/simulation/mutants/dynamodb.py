"""Mistakes in the DynamoDB store: how it reads, what it takes for granted, what it sends again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from rivetless.store.base import Changes, OutcomeUnknown, Unavailable
from rivetless.store.dynamodb import commits, items, table
from rivetless.store.dynamodb.calls import READS, Caller
from rivetless.store.dynamodb.commits import Known
from rivetless.store.dynamodb.expressions import Expression
from rivetless.store.dynamodb.items import Item, Place, Value
from rivetless.store.dynamodb.store import DynamoDBStore
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.aws.client import Payload

Plant = AbstractContextManager[None]
DYNAMODB: Final[tuple[StoreKind, ...]] = ("dynamodb",)


# -- conditions ----------------------------------------------------------------------------------


def _plan_without(condition: str) -> Plant:
    """Leave the conditions that begin like this out of the head's update."""
    right = commits.plan

    def wrong(
        place: Place,
        changes: Changes,
        expected: int | None,
        known: Known | None,
        head: Item | None,
        *,
        reserved: bool = False,
    ) -> Expression:
        plan = right(place, changes, expected, known, head, reserved=reserved)
        kept = [each for each in plan._conditions if not each.startswith(condition)]
        text = " ".join((*kept, *plan._sets))
        # The service refuses placeholders that nothing uses.
        for name in re.findall(r":\d+", " ".join(plan._conditions)):
            if re.search(rf"{name}\b", text) is None:
                plan._values.pop(name, None)
        plan._conditions = kept
        return plan

    return replaced(commits, "plan", wrong)


@mutant("DynamoDB's update does not ask for the version.", stores=DYNAMODB)
def dynamodb_commit_without_fence() -> Plant:
    return _plan_without(f"{table.VERSION} = ")


@mutant(
    "DynamoDB's update does not ask for the life, so it may be another's.",
    stores=DYNAMODB,
    features=("destroy",),
)
def dynamodb_commit_to_any_life() -> Plant:
    return _plan_without(f"{table.LIFE} = ")


# -- reads ---------------------------------------------------------------------------------------


@mutant("Heads are read from DynamoDB without consistency.", stores=DYNAMODB)
def dynamodb_head_read_anywhere() -> Plant:
    return _read_anywhere(lambda operation, payload: operation == "GetItem" and not _short(payload))


@mutant("The version is read from DynamoDB without consistency.", stores=DYNAMODB)
def dynamodb_version_read_anywhere() -> Plant:
    return _read_anywhere(lambda operation, payload: operation == "GetItem" and _short(payload))


@mutant(
    "Records are read from DynamoDB without consistency.",
    stores=DYNAMODB,
    features=("kv", "queues"),
)
def dynamodb_records_read_anywhere() -> Plant:
    return _read_anywhere(lambda operation, payload: operation == "Query")


def _short(payload: Mapping[str, Any]) -> bool:
    return "ProjectionExpression" in payload


def _read_anywhere(which: Callable[[str, Mapping[str, Any]], bool]) -> Plant:
    right = Caller.call

    async def wrong(
        self: Caller, operation: str, payload: Payload, *, repeatable: bool = False
    ) -> Payload:
        if which(operation, payload):
            payload = {k: v for k, v in payload.items() if k != "ConsistentRead"}
        return await right(self, operation, payload, repeatable=repeatable)

    return replaced(Caller, "call", wrong)


# -- writes --------------------------------------------------------------------------------------


@mutant("An update whose answer was lost is sent again, as SDKs do.", stores=DYNAMODB)
def dynamodb_update_sent_again() -> Plant:
    right = Caller.call

    async def wrong(
        self: Caller, operation: str, payload: Payload, *, repeatable: bool = False
    ) -> Payload:
        again = repeatable or operation == "UpdateItem"
        return await right(self, operation, payload, repeatable=again)

    return replaced(Caller, "call", wrong)


@mutant("An update whose answer was lost counts as not made.", stores=DYNAMODB)
def dynamodb_lost_answer_is_refusal() -> Plant:
    right = Caller.call

    async def wrong(
        self: Caller, operation: str, payload: Payload, *, repeatable: bool = False
    ) -> Payload:
        try:
            return await right(self, operation, payload, repeatable=repeatable)
        except OutcomeUnknown as error:
            if operation in READS:
                raise
            raise Unavailable(str(error)) from error

    return replaced(Caller, "call", wrong)


@mutant(
    "What is beside the head is written after it, not in one transaction.",
    stores=DYNAMODB,
    features=("queues", "kv"),
)
def dynamodb_two_writes() -> Plant:
    right = DynamoDBStore._write

    async def wrong(
        self: DynamoDBStore,
        plan: Expression,
        beside: list[dict[str, Any]],
        *,
        show_version: bool,
        token: str | None = None,
    ) -> int:
        if not beside or not plan.changes:
            return await right(self, plan, beside, show_version=show_version, token=token)
        version = await right(self, plan, [], show_version=show_version)
        await self._transact(beside)
        return version

    return replaced(DynamoDBStore, "_write", wrong)


@mutant("A transaction's conditions on records are left out.", stores=DYNAMODB, features=("sends",))
def dynamodb_records_not_asked_for() -> Plant:
    def wrong(now: float) -> dict[str, Any]:
        return {}

    return replaced(items, "is_absent", wrong)


@mutant(
    "An outbox that is rewritten leaves the index, whatever is left in it.",
    stores=DYNAMODB,
    features=("sends", "deaths"),
)
def dynamodb_outbox_leaves_the_index() -> Plant:
    def wrong(plan: Expression, entries: dict[str, Value]) -> None:
        plan.set(table.OUTBOX, {"M": entries})
        plan.remove(table.OUTBOX_AT)

    return replaced(commits, "_set_outbox", wrong)


@mutant(
    "The numbers of messages are taken without asking whether others have taken any.",
    stores=DYNAMODB,
    features=("queues", "processes"),
)
def dynamodb_numbers_taken_twice() -> Plant:
    def wrong(plan: Expression, changes: Changes, last: Mapping[str, int]) -> None:
        for name, count in changes.appended.items():
            plan.set(table.SEQUENCE + name, items.number(last.get(name, 0) + count))

    return replaced(commits, "_plan_sequences", wrong)


@mutant(
    "A burial does not ask whether the tombstone is still that life's.",
    stores=DYNAMODB,
    features=("destroy",),
)
def dynamodb_buries_any_life() -> Plant:
    async def wrong(self: DynamoDBStore, place: Place, head: Item) -> bool:
        put = {
            "TableName": self._table,
            "Item": items.drained_head(head, self._clock.now()),
            "ReturnConsumedCapacity": "TOTAL",
        }
        await self._caller.call("PutItem", put, repeatable=True)
        self._known.pop(place.actor_id, None)
        return True

    return replaced(DynamoDBStore, "_bury", wrong)
