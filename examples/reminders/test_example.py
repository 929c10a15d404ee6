"""Reminders ring when they are due, once, whatever happens to the process."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from examples.reminders import client
from examples.reminders.app import Person, Rung
from rivetless import ActorError
from rivetless.testing.rig import Rig

APP = "examples.reminders.app:registry"


# --8<-- [start:test]
async def test_rings_when_it_is_due(rig: Rig) -> None:
    ann = rig.client.get_or_create(Person, "ann")
    await ann.remind_me("tea", 300)
    await rig.advance(timedelta(minutes=4, seconds=59))
    assert await ann.history() == []
    rig.restart()  # the process that set it is gone
    await rig.advance(timedelta(seconds=1))
    assert await ann.history() == ["tea"]


# --8<-- [end:test]


async def test_clients_hear_it(rig: Rig) -> None:
    ann = rig.client.get_or_create(Person, "ann")
    async with rig.client.connect(ann) as connection:
        rings = connection.events(Person.rang)
        await connection.actor.remind_me("tea", 1)
        await rig.advance(1)
        assert await anext(rings) == Rung(text="tea", late_by=0)


async def test_taken_back_and_put_off(rig: Rig) -> None:
    ann = rig.client.get_or_create(Person, "ann")
    tea = await ann.remind_me("tea", 10)
    cake = await ann.remind_me("cake", 20)
    assert [each.text for each in await ann.pending()] == ["tea", "cake"]
    later = await ann.snooze(tea, 60)
    assert later is not None
    assert await ann.forget(cake)
    assert not await ann.forget(cake)
    assert [each.id for each in await ann.pending()] == [later]
    await rig.advance(69)
    assert await ann.history() == []
    await rig.advance(1)
    assert await ann.history() == ["tea"]
    assert await ann.snooze(later, 1) is None


async def test_about_nothing(rig: Rig) -> None:
    with pytest.raises(ActorError) as caught:
        await rig.client.get_or_create(Person, "ann").remind_me("", 1)
    assert caught.value.code == "no_text"


async def test_client(serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    await client.main(serve(APP))
    assert capsys.readouterr().out.splitlines() == [
        "pending: ['tea is ready']",
        "rang: tea is ready",
    ]
