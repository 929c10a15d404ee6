"""``SimulatedDynamoDB``: the service, as a client sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rivetless.aws.client import Client, Payload
from rivetless.clock import Clock
from rivetless.testing.simulation.dynamodb import reads, writes
from rivetless.testing.simulation.dynamodb.errors import (
    NotSimulated,
    check_known,
    invalid,
    no_such_table,
    refusal,
)
from rivetless.testing.simulation.dynamodb.tables import Key, Row, Table, Unseen
from rivetless.testing.simulation.dynamodb.transactions import Tokens, transact
from rivetless.testing.simulation.dynamodb.values import Item, admit

MOST_WRITES: Final = 25
"""Requests in a batch of writes."""

_TABLE: Final = frozenset({"TableName"})
_ONE: Final = _TABLE | {"ReturnConsumedCapacity"}
_NAMES: Final = frozenset({"ExpressionAttributeNames"})
_WRITE: Final = _ONE | {
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValues",
    "ReturnValuesOnConditionCheckFailure",
}
_BATCH: Final = frozenset({"RequestItems", "ReturnConsumedCapacity"})
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "CreateTable": _TABLE
    | {
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "StreamSpecification",
    },
    "DescribeTable": _TABLE,
    "UpdateTimeToLive": _TABLE | {"TimeToLiveSpecification"},
    "DescribeTimeToLive": _TABLE,
    "GetItem": _ONE | _NAMES | {"Key", "ConsistentRead", "ProjectionExpression"},
    "PutItem": _WRITE | {"Item"},
    "DeleteItem": _WRITE | {"Key"},
    "UpdateItem": _WRITE | {"Key", "UpdateExpression"},
    "Query": _ONE
    | _NAMES
    | {
        "ConsistentRead",
        "ExclusiveStartKey",
        "ExpressionAttributeValues",
        "FilterExpression",
        "IndexName",
        "KeyConditionExpression",
        "Limit",
        "ProjectionExpression",
        "ScanIndexForward",
        "Select",
    },
    "BatchGetItem": _BATCH,
    "BatchWriteItem": _BATCH,
    "TransactWriteItems": frozenset(
        {"TransactItems", "ClientRequestToken", "ReturnConsumedCapacity"}
    ),
}
"""The members of requests that are simulated."""

_READ_PARTS: Final = _NAMES | {"Keys", "ConsistentRead", "ProjectionExpression"}

_Answer = tuple[Payload, float]


class SimulatedDynamoDB(Client):
    """Answers as DynamoDB does: every request at once and by itself, out of memory.

    Any number of stores can have one of them as their client; whoever simulates a network wraps
    it for each.

    Args:
        clock: tells when a token, an item or a reader's ignorance of a change ends.
        unseen: chooses how many of an item's latest changes a reader has not seen, where the
            service leaves that open: reads of indexes, and reads that are not consistent. By
            default readers see everything.
        lag: seconds after which every reader has seen a change.
        ttl_delay: seconds after their end at which items are removed. AWS takes up to two days.

    Attributes:
        requests: how many came, by operation.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        unseen: Unseen | None = None,
        lag: float = 2.0,
        ttl_delay: float = 600.0,
    ) -> None:
        self._clock = clock
        self._unseen = unseen
        self._lag = lag
        self._ttl_delay = ttl_delay
        self._tables: dict[str, Table] = {}
        self._tokens = Tokens()
        self._now = clock.now()
        self._operations: Final[Mapping[str, Callable[[Payload], Payload]]] = {
            "CreateTable": self._create_table,
            "DescribeTable": self._describe_table,
            "UpdateTimeToLive": self._update_ttl,
            "DescribeTimeToLive": self._describe_ttl,
            "GetItem": self._get_item,
            "PutItem": self._put_item,
            "DeleteItem": self._delete_item,
            "UpdateItem": self._update_item,
            "Query": self._query,
            "BatchGetItem": self._batch_get,
            "BatchWriteItem": self._batch_write,
            "TransactWriteItems": self._transact,
        }

    def __repr__(self) -> str:
        return f"SimulatedDynamoDB({sorted(self._tables)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def call(self, operation: str, payload: Payload) -> Payload:
        return self.answer(operation, payload)

    def answer(self, operation: str, payload: Payload) -> Payload:
        """Do a request; ``call`` without a loop.

        Raises:
            ServiceError: it was not done.
            NotSimulated: the simulation does not know it, or something in it.
        """
        known = _KNOWN.get(operation)
        if known is None:
            raise NotSimulated(f"the simulated DynamoDB has no {operation}")
        check_known(operation, payload, known)
        if payload.get("Select", "COUNT") != "COUNT":
            raise NotSimulated("the simulated DynamoDB selects by projections, or counts")
        self._now = self._clock.now()
        for table in self._tables.values():
            table.expire(self._now, self._ttl_delay)
        return self._operations[operation](payload)

    def items(self, table: str) -> Sequence[Item]:
        """Return all that is in a table, in a fixed order."""
        return self._tables[table].items()

    # -- tables -----------------------------------------------------------------------------------

    def _table(self, request: Mapping[str, Any]) -> Table:
        table = self._tables.get(request["TableName"])
        if table is None:
            raise no_such_table()
        return table

    def _create_table(self, request: Payload) -> Payload:
        name = request["TableName"]
        if name in self._tables:
            raise refusal("ResourceInUseException", f"Table already exists: {name}")
        self._tables[name] = Table(request, self._lag, self._unseen)
        return {"TableDescription": self._described(name)}

    def _describe_table(self, request: Payload) -> Payload:
        name = request["TableName"]
        if name not in self._tables:
            raise refusal(
                "ResourceNotFoundException",
                f"Requested resource not found: Table: {name} not found",
            )
        return {"Table": self._described(name)}

    def _described(self, name: str) -> Payload:
        definition = dict(self._tables[name].definition)
        return {**definition, "TableStatus": "ACTIVE"}

    def _update_ttl(self, request: Payload) -> Payload:
        table, wanted = self._table(request), request["TimeToLiveSpecification"]
        name = wanted["AttributeName"] if wanted["Enabled"] else None
        if name == table.ttl:
            word = "enabled" if name else "disabled"
            raise invalid(f"TimeToLive is already {word}")
        table.ttl = name
        return {"TimeToLiveSpecification": dict(wanted)}

    def _describe_ttl(self, request: Payload) -> Payload:
        name = self._table(request).ttl
        found: Payload = {"TimeToLiveStatus": "ENABLED" if name else "DISABLED"}
        if name is not None:
            found["AttributeName"] = name
        return {"TimeToLiveDescription": found}

    # -- items ------------------------------------------------------------------------------------

    def _get_item(self, request: Payload) -> Payload:
        table = self._table(request)
        return _with_units(request, table, reads.get_item(table, request, self._now))

    def _query(self, request: Payload) -> Payload:
        table = self._table(request)
        return _with_units(request, table, reads.query(table, request, self._now))

    def _put_item(self, request: Payload) -> Payload:
        return self._write("Put", request)

    def _delete_item(self, request: Payload) -> Payload:
        return self._write("Delete", request)

    def _update_item(self, request: Payload) -> Payload:
        return self._write("Update", request)

    def _write(self, kind: str, request: Payload) -> Payload:
        table = self._table(request)
        return _with_units(request, table, writes.write_one(kind, table, request, self._now))

    def _transact(self, request: Payload) -> Payload:
        taken = transact(self._tables, self._tokens, request, self._now)
        if not _counts(request):
            return {}
        return {"ConsumedCapacity": [{"TableName": name, **one} for name, one in taken.items()]}

    # -- batches ----------------------------------------------------------------------------------

    def _batch_get(self, request: Payload) -> Payload:
        parts: Mapping[str, Payload] = request["RequestItems"]
        count = sum(len(part["Keys"]) for part in parts.values())
        if count > reads.MOST_KEYS:
            raise invalid("Too many items requested for the BatchGetItem call")
        if not count:
            raise invalid("1 validation error detected: a batch must have at least one key")
        found: dict[str, list[Item]] = {}
        capacity: list[Payload] = []
        for name, part in parts.items():
            check_known("BatchGetItem", part, _READ_PARTS)
            table = self._table({"TableName": name})
            found[name], units = reads.batch_get(table, part, self._now)
            capacity.append({"TableName": name, "CapacityUnits": units})
        answer: Payload = {"Responses": found, "UnprocessedKeys": {}}
        return {**answer, "ConsumedCapacity": capacity} if _counts(request) else answer

    def _batch_write(self, request: Payload) -> Payload:
        parts: Mapping[str, Sequence[Payload]] = request["RequestItems"]
        count = sum(map(len, parts.values()))
        if not 1 <= count <= MOST_WRITES:
            raise invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy "
                "constraint: Map value must satisfy constraint: [Member must have length less "
                f"than or equal to {MOST_WRITES}, Member must have length greater than or equal "
                "to 1]"
            )
        wanted: dict[tuple[str, Key], tuple[Table, Row | None]] = {}
        for name, some in parts.items():
            table = self._table({"TableName": name})
            for one in some:
                key, row = _batched(table, one)
                if (name, key) in wanted:
                    raise invalid("Provided list of item keys contains duplicates")
                wanted[name, key] = table, row
        taken = dict.fromkeys(parts, 0.0)
        for (name, key), (table, row) in wanted.items():
            before = table.get(key)
            taken[name] += writes.units(before, row) + table.write(key, row, self._now)
        answer: Payload = {"UnprocessedItems": {}}
        if _counts(request):
            answer["ConsumedCapacity"] = [
                {"TableName": name, "CapacityUnits": units} for name, units in taken.items()
            ]
        return answer


def _batched(table: Table, request: Payload) -> tuple[Key, Row | None]:
    match request:
        case {"PutRequest": {"Item": item}}:
            write = writes.prepare("Put", table, {"Item": item})
            return write.key, write.result(None)
        case {"DeleteRequest": {"Key": key}}:
            return table.key({name: admit(value) for name, value in key.items()}), None
        case _:
            raise invalid("a batch writes by PutRequest and DeleteRequest")


def _counts(request: Payload) -> bool:
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted == "INDEXES":
        raise NotSimulated("the simulated DynamoDB counts by table only")
    return bool(wanted == "TOTAL")


def _with_units(request: Payload, table: Table, answer: _Answer) -> Payload:
    payload, units = answer
    if _counts(request):
        payload["ConsumedCapacity"] = {"TableName": table.name, "CapacityUnits": units}
    return payload
