"""Two servers on one SQLite file: any of them may handle any call."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rivetless.client import Client
from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.living import Shop, Teller
from tests.behaviour.actors.meeting import JoinParams, Message, Room
from tests.behaviour.actors.raw import Web
from tests.behaviour.world import Ear
from tests.servers import ServerProcess

pytestmark = pytest.mark.timeout(60)

APP = "tests.behaviour.actors:registry"
ADA = JoinParams(name="ada")
BOB = JoinParams(name="bob")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Both servers."""
    folder = tmp_path_factory.mktemp("two")
    where = f"sqlite:{folder / 'actors.db'}"
    with (
        ServerProcess(APP, where, folder / "one.txt") as one,
        ServerProcess(APP, where, folder / "two.txt") as two,
    ):
        yield [one, two]


@pytest.fixture
async def clients(servers: list[ServerProcess]) -> AsyncIterator[list[Client]]:
    """A client of each."""
    one, two = (Client(server.endpoint) for server in servers)
    async with one, two:
        yield [one, two]


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A key that no other test uses."""
    return tmp_path.name[:60]


async def test_32_callers_of_one_counter_all_count(clients: list[Client], key: str) -> None:
    rounds = 8

    async def call(number: int) -> list[int]:
        counter = clients[number % 2].get_or_create(Counter, key)
        return [await counter.increment() for _ in range(rounds)]

    seen = [count for counts in await asyncio.gather(*map(call, range(32))) for count in counts]
    assert sorted(seen) == list(range(1, 32 * rounds + 1))
    for client in clients:
        assert await client.get_or_create(Counter, key).get() == 32 * rounds


async def test_a_change_is_seen_by_the_other_at_once(clients: list[Client], key: str) -> None:
    one, two = (client.get_or_create(Counter, key) for client in clients)
    for number in range(10):
        assert await one.increment() == number * 2 + 1
        assert await two.get() == number * 2 + 1
        assert await two.increment() == number * 2 + 2
        assert await one.get() == number * 2 + 2


async def test_an_actor_is_created_once(clients: list[Client], key: str) -> None:
    ids = await asyncio.gather(
        *(
            clients[number % 2].resolve(clients[number % 2].get_or_create(Counter, key))
            for number in range(12)
        )
    )
    assert len(set(ids)) == 1


async def test_calls_between_actors_happen_once(clients: list[Client], key: str) -> None:
    async def pay(number: int) -> int:
        return await clients[number % 2].get_or_create(Teller, key).pay(1)

    assert sorted(await asyncio.gather(*map(pay, range(12)))) == list(range(1, 13))
    assert await clients[0].get_or_create(Teller, key).balance() == -12


async def test_exclusive_actions_wait_for_each_other(clients: list[Client], key: str) -> None:
    async def alone(number: int) -> int:
        return await clients[number % 2].get_or_create(Teller, key).count_alone()

    assert sorted(await asyncio.gather(*map(alone, range(10)))) == list(range(1, 11))


async def test_a_key_counts_in_both(clients: list[Client], key: str) -> None:
    async def add(number: int) -> int:
        client = clients[number % 2]
        shop = client.with_options(client.get_or_create(Shop, key), idempotency_key="one")
        return await shop.add(5)

    assert await asyncio.gather(*map(add, range(8))) == [5] * 8


async def test_events_reach_the_others_connections(clients: list[Client], key: str) -> None:
    one, two = clients
    async with (
        one.connect(one.get_or_create(Room, key), ADA) as ada,
        two.connect(two.get_or_create(Room, key), BOB) as bob,
    ):
        to_ada, to_bob = Ear(), Ear()
        ada.on(Room.message, to_ada)
        bob.on(Room.message, to_bob)
        await bob.actor.me()
        await ada.actor.me()
        await ada.actor.say("hi")
        assert await to_bob.wait() == [Message(sender="ada", text="hi")]
        await bob.actor.say("ho")
        assert [message.text for message in await to_ada.wait(2)] == ["hi", "ho"]
        assert [message.text for message in await to_bob.wait(2)] == ["hi", "ho"]
        assert await ada.actor.members() == ["ada", "bob"]


async def test_events_of_one_caller_keep_their_order(clients: list[Client], key: str) -> None:
    one, two = clients
    counter = one.get_or_create(Counter, key)
    async with two.connect(two.get_or_create(Counter, key)) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.get()
        for _ in range(30):
            await counter.increment()
        assert await heard.wait(30) == list(range(1, 31))


async def test_events_of_both_come_in_the_order_of_their_commits(
    clients: list[Client], key: str
) -> None:
    one, two = clients
    async with two.connect(two.get_or_create(Counter, key)) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.get()
        for _ in range(10):
            await one.get_or_create(Counter, key).increment()
            await conn.actor.increment()
        assert await heard.wait(20) == list(range(1, 21))


async def test_one_can_send_to_a_connection_of_the_other_and_close_it(
    clients: list[Client], key: str
) -> None:
    one, two = clients
    async with (
        one.connect(one.get_or_create(Room, key), ADA) as ada,
        two.connect(two.get_or_create(Room, key), BOB) as bob,
    ):
        heard, closed = Ear(), Ear()
        bob.on(Room.message, heard)
        bob.on_close(closed)
        await bob.actor.me()
        first = bob.connection_id
        assert first is not None
        assert await ada.actor.tell(first, "psst")
        assert (await heard.wait())[0].text == "psst"
        await ada.actor.promote(first, "king")
        assert (await bob.actor.me())["role"] == "king"
        await ada.actor.kick(first, "enough")
        await closed.wait()
        assert (await bob.actor.me())["id"] != first


async def test_raw_sockets_of_the_other_are_reached(clients: list[Client], key: str) -> None:
    one, two = clients
    async with two.web_socket(two.get_or_create(Web, key)) as socket:
        await socket.receive()
        assert await one.get_or_create(Web, key).drop_all() == 1
        assert [frame async for frame in socket] == []
        assert (socket.close_code, socket.close_reason) == (1000, "dropped")


async def test_destroying_closes_the_others_sockets(clients: list[Client], key: str) -> None:
    one, two = clients
    async with two.connect(two.get_or_create(Counter, key)) as conn:
        closed = Ear()
        conn.on_close(closed)
        await conn.actor.increment(5)
        await one.get_or_create(Counter, key).end()
        await closed.wait()
        assert await conn.actor.get() == 0
