"""How actors are created, woken, put to sleep and destroyed, whatever other processes do."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, UserError, action
from rivetless.actor.turn import ConnInfo, RequestInfo
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ById,
    ByKey,
    CloseConnection,
    ConnectionAction,
    DestroyActor,
    GetActor,
    OpenConnection,
    Origin,
    RawRequest,
    SleepActor,
    Subscribe,
)
from rivetless.runtime.ports import ClosePush
from rivetless.runtime.records import connection_keys, connection_record, subscription_records
from rivetless.runtime.sweeper import LATE
from rivetless.store.base import Changes, Collection, Conflict, Host, Store
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault, StoreWrapper
from tests.unit.runtime.worlds import Process, World

log: list[str] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    log.clear()
    gates.clear()


class Diary(BaseModel):
    entries: list[str] = []


class Life(Actor[Diary]):
    """Writes down what happens to it."""

    async def on_migrate(self, is_new: bool) -> None:
        log.append(f"migrate {is_new}")

    async def create_state(self, input: str | None) -> Diary:
        log.append(f"state {input}")
        if input == "refuse":
            raise UserError("no", code="refused")
        return Diary(entries=[f"born {input}"])

    async def on_create(self, input: str | None) -> None:
        log.append(f"create {input}")
        self.state.entries.append("created")

    async def create_vars(self) -> dict[str, int]:
        log.append("vars")
        return {"calls": 0}

    async def on_wake(self) -> None:
        log.append("wake")
        self.state.entries.append("woke")

    async def on_sleep(self) -> None:
        log.append("sleep")
        self.state.entries.append(f"slept after {self.vars['calls']}")

    async def on_destroy(self) -> None:
        log.append("destroy")

    async def on_connect(self, conn: object) -> None:
        log.append("connect")

    async def on_disconnect(self, conn: object) -> None:
        log.append("disconnect")

    @action
    async def entries(self) -> list[str]:
        self.vars["calls"] += 1
        return self.state.entries

    @action
    async def note(self) -> None:
        self.state.entries.append("note")

    @action
    async def wait(self, name: str) -> bool:
        await gates.setdefault(name, asyncio.Event()).wait()
        return self.aborted

    @action
    async def go_to_sleep(self) -> None:
        self.sleep()

    @action
    async def later(self) -> None:
        self.wait_until(self._note_later())

    async def _note_later(self) -> None:
        self.state.entries.append("later")

    @action
    async def remove(self) -> str:
        self.destroy()
        return "going"

    @action
    async def fail_after_outside(self) -> None:
        await asyncio.sleep(0)
        await gates.setdefault("outside", asyncio.Event()).wait()
        raise ActorError("guard", "service_unavailable", "elsewhere")


async def start(process: Process, key: str = "a", input: object = None) -> list[str]:
    entries: list[str] = await process.call("life", "entries", key=key, input=input)
    return entries


CREATED = ["born x", "created", "woke"]


async def test_hooks_of_a_new_actor_and_one_commit() -> None:
    world = await World.open(Life)
    assert await start(world.process(), input="x") == CREATED
    assert log == ["migrate True", "state x", "create x", "vars", "wake", "connect", "disconnect"]
    assert world.store.writes == 1


async def test_another_process_wakes_it() -> None:
    world = await World.open(Life)
    await start(world.process(), input="x")
    log.clear()
    other = world.process()
    assert await start(other, input="ignored") == [*CREATED, "woke"]
    assert await start(other) == [*CREATED, "woke"]
    assert log.count("wake") == log.count("vars") == 1
    assert "migrate False" in log


async def test_a_creation_that_fails_leaves_nothing() -> None:
    world = await World.open(Life)
    process = world.process()
    with pytest.raises(UserError):
        await start(process, input="refuse")
    assert world.store.writes == 0
    assert await start(process, input="x") == CREATED


async def test_bad_calls_create_nothing() -> None:
    world = await World.open(Life)
    process = world.process()
    for name, args in (("no_such", ()), ("entries", (1, 2))):
        with pytest.raises(ActorError):
            await process.call("life", name, *args)
    assert (world.store.reads, world.store.writes) == (0, 0)


async def test_processes_that_create_at_once_agree() -> None:
    world = await World.open(Life)
    processes = [world.process() for _ in range(5)]
    tasks = [asyncio.create_task(start(p, input="x")) for p in processes]
    while not all(task.done() for task in tasks):
        await world.clock.advance(0.05)
    longest = max((task.result() for task in tasks), key=len)
    assert longest[:3] == CREATED
    assert longest[3:] == ["woke"] * (len(longest) - 3)
    assert len(await start(processes[0])) == 3 + 4


async def test_what_on_wake_wrote_is_not_lost_with_a_conflict() -> None:
    world = await World.open(Life)
    one, two, three = (world.process() for _ in range(3))
    await start(one, input="x")
    held = world.faults.inject(Fault.HELD)
    waking = asyncio.create_task(start(two))
    await held.reached.wait()
    await start(three)
    held.release()
    while not waking.done():
        await world.clock.advance(0.05)
    assert await waking == [*CREATED, "woke", "woke"]


async def test_create_is_exclusive() -> None:
    world = await World.open(Life)
    process = world.process()
    target = ByKey(Address("default", "life", ("a",)), create=True, input="x")
    info = await process.runtime.dispatch(GetActor(target, exclusive=True))
    assert info.created
    with pytest.raises(ActorError) as raised:
        await process.runtime.dispatch(GetActor(target, exclusive=True))
    assert raised.value.name == "actor.duplicate_key"
    assert raised.value.metadata == {"existing_actor_id": info.actor_id, "key": "a"}
    again = await world.process().runtime.dispatch(GetActor(target))
    assert (again.actor_id, again.created) == (info.actor_id, False)


async def test_idle_actors_sleep_and_wake() -> None:
    world = await World.open(Life)
    process = world.process()
    await start(process, input="x")
    await world.clock.advance(20)
    await start(process)
    await world.clock.advance(20)
    assert "sleep" not in log
    await world.clock.advance(31)
    assert log.count("sleep") == 1
    assert await start(process) == [*CREATED, "slept after 2", "woke"]


async def test_an_actor_puts_itself_to_sleep_when_its_work_is_done() -> None:
    world = await World.open(Life)
    process = world.process()
    await start(process, input="x")
    waiting = asyncio.create_task(process.call("life", "wait", "x"))
    await settle()
    await process.call("life", "go_to_sleep")
    await settle()
    assert "sleep" not in log
    gates["x"].set()
    assert await waiting is True
    await settle()
    assert log.count("sleep") == 1


async def test_sleep_from_outside() -> None:
    world = await World.open(Life)
    process = world.process()
    target = ByKey(Address("default", "life", ("a",)), create=True)
    info = await process.runtime.dispatch(GetActor(target))
    await process.runtime.dispatch(SleepActor(ById("default", info.actor_id)))
    assert log.count("sleep") == 1
    await process.runtime.dispatch(SleepActor(ById("default", info.actor_id)))
    assert log.count("sleep") == 1


async def test_work_after_the_commit_is_a_turn_of_its_own() -> None:
    world = await World.open(Life)
    process = world.process()
    await start(process, input="x")
    await process.call("life", "later")
    await settle()
    assert await start(world.process()) == [*CREATED, "later", "woke"]


async def test_destroy_and_begin_again() -> None:
    world = await World.open(Life)
    one, two = world.process(), world.process()
    await start(one, input="x")
    await start(two)
    assert await one.call("life", "remove") == "going"
    assert "destroy" in log
    for process in (one, two):
        with pytest.raises(ActorError) as raised:
            await process.call("life", "entries", create=False)
        assert raised.value.name == "actor.not_found"
    assert await start(two, input="y") == ["born y", "created", "woke"]
    assert await start(one) == ["born y", "created", "woke", "woke"]


async def test_a_handle_of_a_destroyed_life_stays_dead() -> None:
    world = await World.open(Life)
    process = world.process()
    target = ByKey(Address("default", "life", ("a",)), create=True)
    old = (await process.runtime.dispatch(GetActor(target))).actor_id
    for _ in range(2):
        await process.runtime.dispatch(DestroyActor(ById("default", old)))
    new = (await process.runtime.dispatch(GetActor(target))).actor_id
    assert new != old
    for runtime in (process.runtime, world.process().runtime):
        with pytest.raises(ActorError) as raised:
            await runtime.dispatch(GetActor(ById("default", old)))
        assert raised.value.name == "actor.not_found"
        with pytest.raises(ActorError):
            await runtime.dispatch(GetActor(ById("elsewhere", new)))


async def test_callers_are_not_invited_to_repeat_what_may_be_done() -> None:
    world = await World.open(Life)
    process = world.process()
    await start(process)
    gates["outside"] = asyncio.Event()
    failing = asyncio.create_task(process.call("life", "fail_after_outside"))
    await settle()
    gates["outside"].set()
    with pytest.raises(ActorError) as raised:
        await failing
    assert raised.value.name == "actor.interrupted"


async def test_namespaces_do_not_meet() -> None:
    world = await World.open(Life)
    process = world.process()
    ids = {
        (
            await process.runtime.dispatch(
                GetActor(ByKey(Address(namespace, "life", ("a",)), create=True))
            )
        ).actor_id
        for namespace in ("one", "two")
    }
    assert len(ids) == 2


# -- connections ----------------------------------------------------------------------------------


async def connect(process: Process, conn_id: str, host: str = "h1") -> str:
    target = ByKey(Address("default", "life", ("a",)), create=True, input="x")
    info = await process.runtime.dispatch(OpenConnection(target, conn_id, "events", host))
    return info.actor_id


async def test_connections_are_closed_with_their_actor() -> None:
    world = await World.open(Life)
    process = world.process()
    actor_id = await connect(process, "c1")
    await process.runtime.dispatch(Subscribe(actor_id, "c1", "changed", subscribe=True))
    await process.call("life", "remove")
    await settle()
    closes = [p.content for _, p in process.mailbox.pushes if isinstance(p.content, ClosePush)]
    assert closes == [ClosePush(1000, "", forget=True)]
    assert log.count("disconnect") == 2  # that of the call, and this one
    assert await world.store.load(actor_id) is None


async def test_a_dead_hosts_connections_are_reaped_once() -> None:
    world = await World.open(Life)
    one, two, three = (world.process() for _ in range(3))
    await one.runtime.store.announce(Host("h1", "http://127.0.0.1:1", world.clock.now() + 10))
    actor_id = await connect(one, "c1")
    await connect(one, "c2")
    log.clear()
    await two.runtime.sweeper.sweep()
    assert "disconnect" not in log
    world.clock.jump(60)
    sweeps = [asyncio.create_task(p.runtime.sweeper.sweep()) for p in (two, three)]
    while not all(sweep.done() for sweep in sweeps):
        await world.clock.advance(0.1)
    assert "disconnect" in log
    assert await world.store.records(actor_id, Collection.CONNECTION) == []
    world.clock.jump(LATE)
    await two.runtime.sweeper.sweep()
    assert await world.store.hosts() == []


async def test_what_a_dead_host_has_written_late_is_reaped_too() -> None:
    world = await World.open(Life)
    one, two = world.process(), world.process()
    await one.runtime.store.announce(Host("h1", "http://127.0.0.1:1", world.clock.now() + 1))
    world.clock.jump(20)
    await two.runtime.sweeper.sweep()
    actor_id = await connect(one, "c1")
    world.clock.jump(10)
    await two.runtime.sweeper.sweep()
    assert await world.store.records(actor_id, Collection.CONNECTION) == []
    assert [host.id for host in await world.store.hosts()] == ["h1"]
    world.clock.jump(LATE)
    await two.runtime.sweeper.sweep()
    assert await world.store.hosts() == []


async def test_a_connection_is_forgotten_once() -> None:
    world = await World.open(Life)
    process = world.process()
    actor_id = await connect(process, "c1")
    log.clear()
    for _ in range(2):
        await process.runtime.dispatch(CloseConnection(actor_id, "c1", 1000))
    assert log == ["disconnect"]
    with pytest.raises(ActorError) as raised:
        await process.runtime.dispatch(ConnectionAction(actor_id, "c1", 0, "entries", []))
    assert raised.value.name == "connection.not_found"


class ConflictCounter(StoreWrapper):
    """Counts the commits that a store refuses."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.conflicts = 0

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        try:
            return await self.inner.commit(actor_id, changes, expected=expected)
        except Conflict:
            self.conflicts += 1
            raise


async def test_ten_thousand_reconnects_beside_a_busy_actor_conflict_with_nothing() -> None:
    world = await World.open(Life)
    counter = ConflictCounter(world.faults)
    world.store.inner = counter
    one, two = world.process(), world.process()
    actor_id = await connect(one, "c0")

    async def reconnect(n: int) -> None:
        conn = ConnInfo(f"x{n}", "events", None, "h1", None)
        puts = (connection_record(conn), *subscription_records("changed", conn.id, "h1"))
        await two.runtime.commit_loose(actor_id, Changes(f"open-{n}", puts=puts))
        gone = connection_keys(conn.id, ["changed"])
        await two.runtime.commit_loose(actor_id, Changes(f"close-{n}", deletes=gone))

    for hundred in range(100):
        await asyncio.gather(
            *(reconnect(100 * hundred + n) for n in range(100)), one.call("life", "note")
        )
    assert counter.conflicts == 0
    assert (await one.call("life", "entries"))[-100:] == ["note"] * 100
    assert len(await world.store.records(actor_id, Collection.CONNECTION)) == 1


async def test_no_on_request_is_404() -> None:
    world = await World.open(Life)
    process = world.process()
    target = ByKey(Address("default", "life", ("a",)), create=True)
    origin = Origin(request=RequestInfo("GET", "http://127.0.0.1/"))
    answer = await process.runtime.dispatch(RawRequest(target, origin))
    assert (answer.status, answer.body) == (404, b"")
