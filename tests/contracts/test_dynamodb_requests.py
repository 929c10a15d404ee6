"""The simulated DynamoDB and a local AWS do the same with requests that no store makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from rivetless.aws.client import Client, Payload, ServiceError
from rivetless.testing.clock import FakeClock
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from tests.contracts.dynamodb_requests import Request, definition, requests
from tests.contracts.dynamodb_twins import plain, scan, sortable
from tests.ministack import real_client

EXAMPLES: Final = int(os.environ.get("RIVETLESS_REQUEST_EXAMPLES", "40"))
TABLE: Final = "requests"

LET_PASS: Final = (
    "Incorrect operand type",
    "The BETWEEN operator requires",
    "An operand in the update expression has an incorrect data type",
    "The document path provided in the update expression is invalid for update",
)
"""What AWS refuses and the local AWS does not, or not before it has looked at the condition."""

_numbers: Iterator[int] = count()


@pytest.mark.aws
@pytest.mark.timeout(300)
def test_any_request(ministack: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(requests(TABLE))
    def compare(made: list[Request]) -> None:
        asyncio.run(_compare(ministack, made))

    compare()


async def _compare(endpoint: str, made: list[Request]) -> None:
    simulated = SimulatedDynamoDB(FakeClock())
    # Each example has a table of its own; what it is called says nothing to either.
    name = f"{TABLE}-{next(_numbers)}"
    async with real_client(endpoint) as real:
        for client in (simulated, real):
            await client.call("CreateTable", definition(name))
        try:
            for operation, payload in made:
                here = _at(payload, name)
                ours, theirs = [await _answer(each, operation, here) for each in (simulated, real)]
                if ours != theirs and isinstance(ours, Refused) and ours.known:
                    return  # from here on they are not the same
                assert ours == theirs, f"{operation} {here}\n  ours: {ours}\ntheirs: {theirs}"
            left = sorted(map(sortable, simulated.items(name)))
            assert left == sorted(map(sortable, await scan(real, name)))
        finally:
            await real.call("DeleteTable", {"TableName": name})


def _at(part: Any, table: str) -> Any:
    """Return a request for another table, with tokens of its own."""
    if isinstance(part, dict):
        found = {table if n == TABLE else n: _at(value, table) for n, value in part.items()}
        if "ClientRequestToken" in found:
            found["ClientRequestToken"] += table
        return found
    if isinstance(part, list):
        return [_at(value, table) for value in part]
    return table if part == TABLE else part


@dataclass(frozen=True, slots=True)
class Refused:
    """What is compared of a refusal: all but its words."""

    code: str
    item: Any
    reasons: list[tuple[str, Any]]
    words: str = field(compare=False)

    @classmethod
    def of(cls, error: ServiceError) -> Refused:
        """Return an error's."""
        reasons = error.body.get("CancellationReasons") or ()
        return cls(
            error.code,
            plain(error.body.get("Item")),
            [(reason["Code"], plain(reason.get("Item"))) for reason in reasons],
            " ".join([error.message, *(reason.get("Message", "") for reason in reasons)]),
        )

    @property
    def known(self) -> bool:
        """Whether it is something that the local AWS lets pass, or finds out later."""
        return any(words in self.words for words in LET_PASS)


async def _answer(client: Client, operation: str, payload: Payload) -> object:
    """Return what is compared of an answer: all but the wording of errors."""
    try:
        answer = await client.call(operation, payload)
    except ServiceError as error:
        return Refused.of(error)
    if not answer.get("Attributes", True):
        answer = {name: value for name, value in answer.items() if name != "Attributes"}
    return plain(answer)
