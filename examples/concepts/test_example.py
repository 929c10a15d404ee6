"""The concept pages say what is true."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from examples.concepts import client
from examples.concepts.actions import Account, Entry
from examples.concepts.guarantees import Order, bank
from examples.concepts.identity import Game, GameInput, Player
from examples.concepts.keeping import Diary
from examples.concepts.lifecycle import Archive, Station
from rivetless import ActorError
from rivetless.testing.rig import Rig


async def test_actions(rig: Rig) -> None:
    account = rig.client.get_or_create(Account, "ann")
    assert await account.book(Entry(what="pay", cents=1000)) == 1000
    with pytest.raises(ActorError) as refused:
        await account.book(Entry(what="car", cents=-1001), notify=False)
    assert refused.value.code == "overdrawn"
    assert await account.balances(0, 1) == [1000, 0]  # the refused entry left nothing behind
    assert await account.write_statement() == "     10.00  pay"
    assert await account.owners.add("Ann") == ["Ann"]


async def test_kv(rig: Rig) -> None:
    diary = rig.client.get_or_create(Diary, "ann")
    for day in (1, 30, 31):
        await diary.write(date(2027, 1, day), f"entry {day}")
    await diary.write(date(2027, 2, 1), "next month")
    assert await diary.read(date(2027, 1, 30)) == "entry 30"
    assert await diary.read(date(2027, 1, 2)) is None
    assert await diary.month(2027, 1) == [
        ("2027-01-31", "entry 31"),
        ("2027-01-30", "entry 30"),
        ("2027-01-01", "entry 1"),
    ]


async def test_names_on_the_wire(rig: Rig) -> None:
    account = rig.client.get_or_create("account", "ann")
    rig.client.get_or_create(Account, "ann")
    assert await account.owners.add("Ann") == ["Ann"]
    assert await account.statement() == ""


async def test_vars_and_hooks(rig: Rig) -> None:
    station = rig.client.get_or_create(Station, "pole")
    assert await station.forecast("today") == "today: cold"
    await station.measure(25)
    assert await station.forecast("today") == "today: cold"  # from the vars
    assert await station.woken() == 1
    rig.restart()
    assert await station.forecast("today") == "today: warm"
    assert await station.woken() == 2
    await rig.advance(timedelta(minutes=2))  # it falls asleep, and wakes with the next call
    assert await station.woken() == 3


async def test_state_changes_are_told(rig: Rig) -> None:
    station = rig.client.get_or_create(Station, "pole")
    async with rig.client.connect(station) as connection:
        records = connection.events(Station.record)
        for celsius in (1, -5, 3):
            await connection.actor.measure(celsius)
        assert [await anext(records), await anext(records)] == [1, 3]


async def test_answers_are_changed(rig: Rig) -> None:
    station = rig.client.get_or_create(Station, "pole")
    await station.measure(100 / 9)
    abroad = rig.client.get_or_create(Station, "pole", params="fahrenheit")
    assert round((await abroad.report()).celsius) == 52


async def test_background_work(rig: Rig) -> None:
    station = rig.client.get_or_create(Station, "pole")
    for celsius in range(12):
        await station.measure(celsius)
    assert await station.tidy() == "on it"
    await rig.settle()
    assert await station.close() == 10


async def test_destroy(rig: Rig) -> None:
    station = rig.client.get_or_create(Station, "pole")
    first = await rig.client.resolve(station)
    await station.measure(1)
    assert await station.close() == 1
    assert await rig.client.get_or_create(Archive).lines() == ["pole had 1 readings"]
    with pytest.raises(ActorError) as gone:
        await rig.client.get_for_id(Station, first).report()
    assert gone.value.name == "actor.not_found"
    assert await station.woken() == 1  # a new life
    assert await rig.client.resolve(station) != first


async def test_all_or_nothing(rig: Rig) -> None:
    order = rig.client.get_or_create(Order, "1")
    async with rig.client.connect(order) as connection:
        told: list[list[str]] = []
        connection.on(Order.changed, told.append)
        with pytest.raises(ActorError):
            await connection.actor.add("tea", "cake", "tea")
        assert await connection.actor.add("milk") == 1
        assert told == [["milk"]]


@pytest.mark.parametrize("pay", [Order.pay, Order.pay_once, Order.pay_alone])
async def test_paid_once(rig: Rig, pay: Callable[[Order], object]) -> None:
    bank.charges.clear()
    order = rig.client.get_or_create(Order, "1")
    await order.add("tea")
    name = pay.__name__
    receipts = await asyncio.gather(*(getattr(order, name)() for _ in range(3)))
    assert sorted(receipts) == ["receipt 1", "receipt 2", "receipt 3"]
    assert list(bank.charges.values()) == [100] * 3


async def test_stages_are_told_one_by_one(rig: Rig) -> None:
    order = rig.client.get_or_create(Order, "1")
    async with rig.client.connect(order) as connection:
        stages = connection.events(Order.stage)
        await connection.actor.ship()
        assert [await anext(stages) for _ in range(3)] == ["packed", "labelled", "handed over"]
    rig.restart()
    assert len(await order.stages()) == 3


async def test_refresh_sees_what_others_did(rig: Rig) -> None:
    order = rig.client.get_or_create(Order, "1")
    waiting = asyncio.ensure_future(order.wait_for("tea"))
    await rig.settle()
    await order.add("tea")
    assert await waiting is True


async def test_input_and_calls(rig: Rig) -> None:
    game = rig.client.get_or_create(
        Game, ["berlin", "7"], input=GameInput(players=["Ann", "Bob"], target=3)
    )
    assert (await game.score("Ann", 3)).winner == "Ann"
    assert await rig.client.get(Player, "Ann").wins() == 1
    described = await game.describe()
    assert (described["name"], described["key"]) == ("game", ["berlin", "7"])
    with pytest.raises(ActorError) as over:
        await game.score("Bob", 1)
    assert over.value.code == "over"


async def test_refused_input(rig: Rig) -> None:
    game = rig.client.get_or_create(Game, ["berlin", "8"], input=GameInput(players=[]))
    with pytest.raises(ActorError) as refused:
        await game.describe()
    assert refused.value.code == "no_players"


async def test_over_the_network(
    serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    await client.main(serve("examples.concepts.app:registry"))
    assert capsys.readouterr().out.splitlines() == [
        "actor duplicate_key",
        "{'Ann': 4, 'Bob': 0}",
        "{'Ann': 9, 'Bob': 0} game",
    ]
