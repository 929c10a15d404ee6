"""The digest comes on weekdays at nine, once, with all that came in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from examples.cron_digest import client
from examples.cron_digest.app import Digest, Reader
from rivetless import ActorError
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig

APP = "examples.cron_digest.app:registry"
FRIDAY = datetime(2026, 3, 27, 8, 0, tzinfo=UTC)
"""The last weekday before clocks go forward in Europe."""


# --8<-- [start:test]
async def test_comes_on_weekdays_at_nine() -> None:
    async with Rig(clock=FakeClock(FRIDAY.timestamp())) as rig:
        reader = rig.client.get_or_create(Reader, "ann")
        await reader.subscribe("Europe/Berlin")
        async with rig.client.connect(reader) as connection:
            digests = connection.events(Reader.digest)
            await connection.actor.add("one")
            # It is nine in Berlin now; the next weekday is Monday, when summer time has begun.
            assert await reader.next_digest() == "2026-03-30T07:00:00+00:00"
            await rig.advance(timedelta(days=3))
            assert await anext(digests) == Digest(day="2026-03-30", items=["one"])
        assert await reader.runs() == ["Mon 07:00 ok"]


# --8<-- [end:test]


async def test_what_was_missed_comes_once(rig: Rig) -> None:
    reader = rig.client.get_or_create(Reader, "ann")
    await reader.subscribe()
    await reader.add("one")
    rig.runtime.abandon()
    rig.clock.jump(timedelta(weeks=2).total_seconds())  # nobody was there
    rig.restart()
    await rig.settle()
    assert len(await reader.runs()) == 1


async def test_no_more(rig: Rig) -> None:
    reader = rig.client.get_or_create(Reader, "ann")
    await reader.subscribe()
    await reader.unsubscribe()
    await rig.advance(timedelta(days=7))
    assert await reader.next_digest() is None
    assert await reader.runs() == []


async def test_too_much_is_dropped(rig: Rig) -> None:
    reader = rig.client.get_or_create(Reader, "ann")
    await reader.subscribe()
    for number in range(102):
        await reader.add(str(number))
    await rig.advance(timedelta(hours=1))
    async with rig.client.connect(reader) as connection:
        digests = connection.events(Reader.digest)
        await connection.actor.send()
        assert (await anext(digests)).items[0] == "2"


async def test_nowhere(rig: Rig) -> None:
    with pytest.raises(ActorError) as caught:
        await rig.client.get_or_create(Reader, "ann").subscribe("Mars/Olympus")
    assert caught.value.name == "schedule.invalid_timezone"


async def test_client(serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    await client.main(serve(APP))
    assert capsys.readouterr().out.startswith("the next digest: 20")
