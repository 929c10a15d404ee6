"""Steps of a chain: how many of them one commit takes, and who is told what."""

from __future__ import annotations

import asyncio
import gc

import pytest

from rivetless.runtime.steps import Step, Superseded, cut, fail, told
from rivetless.store.base import (
    Append,
    Capabilities,
    Changes,
    Collection,
    NewerFormat,
    Record,
    RecordKey,
    Unavailable,
)

KEY = RecordKey(Collection.REPLY, b"key")
PUT = Changes("put", state=b"", puts=(Record(Collection.REPLY, b"1234", b"123456"),))
DELETE = Changes("delete", state=b"", deletes=(KEY,))
APPEND = Changes("append", state=b"", appends=(Append(Collection.MESSAGE, b"1234567890"),))
ABSENT = Changes("absent", state=b"", absent=(KEY,))
STATE = Changes("state", state=b"12345678901234567890")
END = Changes("end", destroyed_at=1.0)


def counts(staged: list[Changes], limits: Capabilities) -> list[int]:
    """Return how many steps each commit takes."""
    left = [Step(changes) for changes in staged]
    found: list[int] = []
    while left:
        before = left
        front, left = cut(left, limits)
        assert before == [*front, *left]
        found.append(len(front))
    return found


@pytest.mark.parametrize("changes", [PUT, DELETE, APPEND, ABSENT])
async def test_a_commit_takes_as_many_records_as_the_store_allows(changes: Changes) -> None:
    assert counts([changes] * 7, Capabilities(max_commit_records=3)) == [3, 3, 1]


async def test_records_of_all_kinds_are_counted() -> None:
    limits = Capabilities(max_commit_records=3)
    assert counts([PUT, STATE, DELETE, APPEND, ABSENT, PUT, DELETE], limits) == [4, 3]
    both = Changes("both", state=b"", puts=PUT.puts, deletes=(KEY,))
    more = Changes("more", state=b"", appends=APPEND.appends, absent=(KEY,))
    assert counts([both, more, both], limits) == [1, 1, 1]
    assert counts([STATE] * 9, limits) == [9]


@pytest.mark.parametrize("changes", [PUT, APPEND])
async def test_a_commit_takes_records_of_half_of_the_bytes_that_the_store_allows(
    changes: Changes,
) -> None:
    assert counts([changes] * 7, Capabilities(max_commit_bytes=60)) == [3, 3, 1]
    assert counts([changes] * 7, Capabilities(max_commit_bytes=59)) == [2, 2, 2, 1]


async def test_what_is_too_much_for_itself_is_sent_all_the_same() -> None:
    """The store says so then."""
    assert counts([PUT, PUT], Capabilities(max_commit_records=0)) == [1, 1]


async def test_a_destruction_is_the_last_of_its_commit() -> None:
    assert counts([STATE, END, STATE, STATE], Capabilities()) == [2, 2]
    assert counts([END, STATE], Capabilities()) == [1, 1]


async def test_that_a_step_fails_is_worth_no_warning_where_nobody_waits() -> None:
    warnings: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: warnings.append(context))
    step = Step(STATE)
    fail(step, Superseded(elsewhere=True))
    await asyncio.sleep(0)
    assert not step.landed.result()
    del step
    gc.collect()
    assert warnings == []


async def test_a_step_whose_waiter_has_gone_can_still_fail() -> None:
    step = Step(STATE)
    step.done.cancel()
    fail(step, Superseded(elsewhere=True))
    await asyncio.sleep(0)
    assert not step.landed.result()


def test_what_newer_code_has_written_will_soon_be_read() -> None:
    assert told(NewerFormat("head", 2, 1)).name == "actor.restarting"
    assert told(Unavailable("away")).name == "guard.service_unavailable"
