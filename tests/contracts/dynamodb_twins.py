"""Two services that are given the same requests: the simulated DynamoDB and a local AWS."""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, cast

from rivetless.aws.client import Client, ClientWrapper, Payload, ServiceError
from rivetless.testing.clock import FakeClock
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from tests.ministack import real_client

_SETS: Final = frozenset({"SS", "NS", "BS"})


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the local AWS is known not to do what AWS does, so that its answers are not compared.

    Attributes:
        operation: that it is about.
        member: of the answer, which is not compared.
        says: what is wrong with it.
        applies: given our answer, whether it shows there.
    """

    operation: str
    member: str
    says: str
    applies: Callable[[Payload], bool] = lambda _: True


def _is_large(answer: Payload) -> bool:
    capacity = cast("Payload", answer.get("ConsumedCapacity", {}))
    return capacity.get("CapacityUnits", 0.0) > 1.0 or "LastEvaluatedKey" in answer


DIFFERENCES: Final = (
    Difference("BatchGetItem", "ConsumedCapacity", "it does not count batches of reads"),
    Difference("GetItem", "ConsumedCapacity", "it counts every read as of 4 KB", _is_large),
    Difference("Query", "ConsumedCapacity", "it counts every read as of 4 KB", _is_large),
    Difference("CreateTable", "TableDescription", "ours is active at once, and has no ARN"),
    Difference("DescribeTable", "Table", "ours has no ARN, sizes and dates"),
)


class Twins(ClientWrapper):
    """Plays every request to both and compares the answers; answers as the simulated one does.

    Args:
        endpoint: of the local AWS.
        clock: of the simulated one.
    """

    def __init__(self, endpoint: str, clock: FakeClock) -> None:
        super().__init__(real_client(endpoint))
        self.simulated = SimulatedDynamoDB(clock)
        self._turn = asyncio.Lock()
        self._tables: set[str] = set()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            for table in self._tables:
                await self.compare_items(table)
        await super().__aexit__(kind, error, trace)

    async def call(self, operation: str, payload: Payload) -> Payload:
        async with self._turn:
            ours = await _answer(self.simulated, operation, payload)
            if operation == "CreateTable":
                self._tables.add(payload["TableName"])
            if operation != "UpdateTimeToLive":
                # Its expiry goes by the real clock, and would take away what ours has yet.
                theirs = await _answer(self._client, operation, payload)
                left, right = _seen(operation, ours, ours), _seen(operation, theirs, ours)
                assert left == right, f"{operation} {payload}\n  ours: {left}\ntheirs: {right}"
        if isinstance(ours, ServiceError):
            raise ours
        return ours

    async def compare_items(self, table: str) -> None:
        """Compare all that is in a table."""
        theirs = await scan(self._client, table)
        ours = self.simulated.items(table)
        assert sorted(map(sortable, ours)) == sorted(map(sortable, theirs))


async def scan(client: Client, table: str) -> list[Any]:
    """Read all that is in a table."""
    found: list[Any] = []
    request: Payload = {"TableName": table}
    while True:
        page = await client.call("Scan", request)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


async def _answer(client: Client, operation: str, payload: Payload) -> Payload | ServiceError:
    try:
        return await client.call(operation, payload)
    except ServiceError as error:
        return error


def _seen(operation: str, answer: Payload | ServiceError, ours: Payload | ServiceError) -> object:
    """Return what is compared of an answer."""
    if isinstance(answer, ServiceError):
        body = answer.body
        return (
            *(answer.code, answer.status, answer.message),
            plain(body.get("Item")),
            plain(body.get("CancellationReasons")),
        )
    own = {} if isinstance(ours, ServiceError) else ours
    hidden = {
        difference.member
        for difference in DIFFERENCES
        if difference.operation == operation and difference.applies(own)
    }
    return {name: plain(value) for name, value in answer.items() if name not in hidden}


def plain(value: object) -> Any:
    """Return a value that is equal to another where only the order of a set is not."""
    if isinstance(value, Mapping):
        found = cast("Mapping[str, object]", value)
        return {name: _member(name, part) for name, part in found.items()}
    if isinstance(value, list):
        return list(map(plain, cast("list[object]", value)))
    return value


def _member(name: str, value: Any) -> Any:
    if name in _SETS and isinstance(value, list):
        # The lean client leaves sets of binaries as they come: no store has any.
        texts = name == "BS" and all(isinstance(member, str) for member in value)
        return sorted(map(b64decode, value) if texts else cast("list[str]", value))
    return plain(value)


def sortable(item: object) -> str:
    """Return an item as what sorts."""
    return repr(sorted(plain(item).items()))
