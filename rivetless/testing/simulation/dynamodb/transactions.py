"""Transactions: writes of several items, all of them or none, and each token's once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rivetless.aws.client import Payload, ServiceError
from rivetless.testing.simulation.dynamodb.errors import (
    cancelled,
    check_known,
    invalid,
    refusal,
)
from rivetless.testing.simulation.dynamodb.tables import Row, Table, read_units
from rivetless.testing.simulation.dynamodb.writes import Write, prepare, units

MOST_ITEMS: Final = 100
"""Requests in a transaction."""

TRANSACTION_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of all its items."""

TOKEN_SECONDS: Final = 600.0
"""How long a token stands for its transaction."""

KINDS: Final = ("ConditionCheck", "Put", "Update", "Delete")
_LONGEST_TOKEN: Final = 36
_EVERY: Final = frozenset(
    {
        "TableName",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValuesOnConditionCheckFailure",
    }
)
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "ConditionCheck": _EVERY | {"Key"},
    "Put": _EVERY | {"Item"},
    "Update": _EVERY | {"Key", "UpdateExpression"},
    "Delete": _EVERY | {"Key"},
}


@dataclass(frozen=True, slots=True)
class _Done:
    """A transaction that was done under a token."""

    until: float
    request: object
    sizes: Mapping[str, Sequence[int]]


class Tokens:
    """The transactions that were done lately."""

    def __init__(self) -> None:
        self._done: OrderedDict[str, _Done] = OrderedDict()

    def find(self, token: str, request: object, now: float) -> _Done | None:
        """Return what was done under a token.

        Raises:
            ServiceError: it was another transaction.
        """
        while self._done:
            first = next(iter(self._done))
            if self._done[first].until > now:
                break
            del self._done[first]
        done = self._done.get(token)
        if done is not None and done.request != request:
            raise refusal(
                "IdempotentParameterMismatchException",
                "Request token already in use for another request with a different payload",
            )
        return done

    def keep(
        self, token: str, request: object, sizes: Mapping[str, Sequence[int]], now: float
    ) -> None:
        """Remember what was done."""
        self._done[token] = _Done(now + TOKEN_SECONDS, request, sizes)


def transact(
    tables: Mapping[str, Table], tokens: Tokens, request: Payload, now: float
) -> dict[str, Payload]:
    """Do a transaction; return what it takes of each table.

    Raises:
        ServiceError: nothing is written.
    """
    parts: list[Payload] = request["TransactItems"]
    if not 1 <= len(parts) <= MOST_ITEMS:
        bound = "greater than or equal to 1" if not parts else f"less than or equal to {MOST_ITEMS}"
        raise invalid(
            f"1 validation error detected: Value '{parts}' at 'transactItems' failed to satisfy "
            f"constraint: Member must have length {bound}"
        )
    token: str | None = request.get("ClientRequestToken")
    if token is not None and not 1 <= len(token) <= _LONGEST_TOKEN:
        raise invalid(
            "1 validation error detected: Value at 'clientRequestToken' failed to satisfy "
            f"constraint: Member must have length less than or equal to {_LONGEST_TOKEN}"
        )
    writes = _prepare(tables, parts)
    if token is not None and (done := tokens.find(token, parts, now)) is not None:
        # What was done before is only looked at.
        return {
            name: _capacity("Read", sum(2 * read_units(size, consistent=True) for size in sizes))
            for name, sizes in done.sizes.items()
        }
    befores = [write.table.get(write.key) for write in writes]
    afters = _results(writes, befores)
    sizes = [
        max(0 if before is None else before.size, 0 if after is None else after.size)
        for before, after in zip(befores, afters, strict=True)
    ]
    if sum(sizes) > TRANSACTION_LIMIT:
        raise invalid("Transaction request exceeds the 4MB transaction size limit")
    consumed: dict[str, float] = {}
    indexes: dict[str, int] = {}
    by_table: dict[str, list[int]] = {}
    for write, before, after, size in zip(writes, befores, afters, sizes, strict=True):
        name = write.table.name
        consumed[name] = consumed.get(name, 0.0) + 2.0 * units(before, after)
        if write.kind != "ConditionCheck":
            entries = write.table.write(write.key, after, now)
            indexes[name] = indexes.get(name, 0) + entries
        by_table.setdefault(name, []).append(size)
    if token is not None:
        tokens.keep(token, parts, by_table, now)
    return {
        name: _capacity("Write", taken, indexes.get(name, 0)) for name, taken in consumed.items()
    }


def _capacity(kind: str, taken: float, indexes: int = 0) -> Payload:
    """Return what is consumed: in all, and of that by the table itself."""
    return {"CapacityUnits": taken + indexes, f"{kind}CapacityUnits": taken}


def _prepare(tables: Mapping[str, Table], parts: Sequence[Payload]) -> list[Write]:
    writes: list[Write] = []
    for part in parts:
        kinds = [kind for kind in KINDS if kind in part]
        if len(kinds) != 1 or len(part) != 1:
            raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")
        inner: Mapping[str, Any] = part[kinds[0]]
        check_known(kinds[0], inner, _PARTS[kinds[0]])
        table = tables.get(inner["TableName"])
        if table is None:
            raise refusal("ResourceNotFoundException", "Requested resource not found")
        writes.append(prepare(kinds[0], table, inner))
    if len({(write.table.name, write.key) for write in writes}) < len(writes):
        raise invalid("Transaction request cannot include multiple operations on one item")
    return writes


def _results(writes: Sequence[Write], befores: Sequence[Row | None]) -> list[Row | None]:
    """Return the items afterwards, if every condition holds and every update can be done."""
    reasons: list[Payload] = []
    afters: list[Row | None] = []
    for write, before in zip(writes, befores, strict=True):
        after: Row | None = None
        reason: Payload = {"Code": "None"}
        if write.fails(before):
            reason = {
                "Code": "ConditionalCheckFailed",
                "Message": "The conditional request failed",
            }
            shown = write.shown(before)
            if shown is not None:
                reason["Item"] = dict(shown)
        else:
            try:
                after = write.result(before)
            except ServiceError as error:
                reason = {"Code": "ValidationError", "Message": error.message}
        reasons.append(reason)
        afters.append(after)
    if any(reason["Code"] != "None" for reason in reasons):
        raise cancelled(reasons)
    return afters
