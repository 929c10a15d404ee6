"""Stored answers: where they are, for how long, and what is told when there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, action
from rivetless.keys import Address
from rivetless.runtime import replies
from rivetless.runtime.commands import Origin
from rivetless.store.base import RECENT_REPLIES, Collection, Head
from rivetless.testing.stores import Fault

from .worlds import Process, World


class Runs(BaseModel):
    count: int = 0


class Teller(Actor[Runs]):
    """Counts its runs."""

    @action
    async def count(self) -> int:
        self.state.count += 1
        return self.state.count

    @action
    async def text(self, size: int) -> str:
        self.state.count += 1
        return "x" * size

    @action
    async def list(self) -> list[object]:
        self.state.count += 1
        return [{"a": 1, "b": self.state.count}, [1, 2]]

    @action
    async def in_parts(self) -> int:
        self.state.count += 1
        await self.save_state()
        self.state.count += 1
        return self.state.count


async def begin() -> tuple[World, Process]:
    world = await World.open(Teller)
    process = world.process()
    await process.call("teller", "count")
    return world, process


async def head_of(world: World) -> Head:
    head = await world.store.load(Address("default", "teller", ("a",)))
    assert head is not None
    return head


async def keep(process: Process, key: str, action: str = "count", *args: object) -> Any:
    return await process.call("teller", action, *args, origin=Origin(call_key=key))


@pytest.mark.parametrize(("size", "records"), [(replies.SMALL, 0), (replies.SMALL + 1, 1)])
async def test_small_answers_have_a_place_in_the_head(size: int, records: int) -> None:
    world, process = await begin()
    answer = await keep(process, "i:k", "text", size - len('""'))
    head = await head_of(world)
    assert len(await world.store.records(head.actor_id, Collection.REPLY)) == records
    assert head.counters.get("replies", 0) == records
    for each in process, world.process():
        assert await keep(each, "i:k", "text", size - len('""')) == answer
    assert await process.call("teller", "count") == 3


async def test_answers_of_any_shape_come_back_as_they_were() -> None:
    world, process = await begin()
    answer = await keep(process, "i:k", "list")
    await process.call("teller", "count")
    assert await keep(world.process(), "i:k", "list") == answer == [{"a": 1, "b": 2}, [1, 2]]


@pytest.mark.parametrize(
    ("key", "kept"), [("i:k", replies.KEPT), ("f:c:1", 900.0), ("d:c:1", 900.0)]
)
async def test_an_answer_is_kept_for_so_long_and_no_longer(key: str, kept: float) -> None:
    world, process = await begin()
    assert await keep(process, key) == 2
    (reply,) = (await head_of(world)).replies
    assert reply.expires_at == world.clock.now() + kept
    await world.clock.advance(kept - 1)
    assert await keep(process, key) == 2
    await world.clock.advance(reply.expires_at - world.clock.now())
    assert await keep(process, key) == 3


async def test_an_answer_that_leaves_the_head_becomes_a_record() -> None:
    world, process = await begin()
    for number in range(RECENT_REPLIES + 2):
        await keep(process, f"i:{number}")
    head = await head_of(world)
    assert len(head.replies) == RECENT_REPLIES
    assert len(await world.store.records(head.actor_id, Collection.REPLY)) == 2
    answers = [await keep(world.process(), f"i:{n}") for n in range(RECENT_REPLIES + 2)]
    assert answers == [*range(2, RECENT_REPLIES + 4)]


async def test_an_answer_that_has_expired_leaves_the_head_for_good() -> None:
    world, process = await begin()
    for number in range(RECENT_REPLIES):
        await keep(process, f"i:{number}")
    await world.clock.advance(replies.KEPT)
    await keep(process, "i:new")
    assert await world.store.records((await head_of(world)).actor_id, Collection.REPLY) == []


@pytest.mark.parametrize(("frames", "records"), [(9, 1), (10, 0)])
async def test_a_frame_is_forgotten_once_its_connection_has_gone_on(
    frames: int, records: int
) -> None:
    """Of one connection ten frames at most come again together."""
    world, process = await begin()
    await keep(process, "f:c:0")
    for number in range(RECENT_REPLIES - frames):
        await keep(process, f"f:other{number}:0")
    for number in range(frames):
        await keep(process, f"f:c:{number + 1}")
    found = await world.store.records((await head_of(world)).actor_id, Collection.REPLY)
    assert len(found) == records


async def test_a_call_that_never_ended_is_not_run_again() -> None:
    """It made a checkpoint, and its process died."""
    world, process = await begin()
    world.faults.inject(Fault.BEFORE, skip=1)
    with pytest.raises(ActorError):
        await keep(process, "i:k", "in_parts")
    again = asyncio.create_task(keep(world.process(), "i:k", "in_parts"))
    await world.clock.advance(60)
    with pytest.raises(ActorError, match="interrupted") as raised:
        await again
    assert raised.value.name == "actor.interrupted"
    assert raised.value.metadata == {"reason": "the first attempt did not end"}
    assert await process.call("teller", "count") == 3


async def test_a_key_names_one_call() -> None:
    _, process = await begin()
    await keep(process, "i:k", "text", 1)
    with pytest.raises(ActorError, match="idempotency_mismatch"):
        await keep(process, "i:k", "text", 2)


async def test_a_record_of_an_answer_is_named_alike_by_all_versions() -> None:
    world, process = await begin()
    await keep(process, "i:k", "text", 1000)
    (record,) = await world.store.records((await head_of(world)).actor_id, Collection.REPLY)
    assert record.key == b"7a9be760f3aed218da2bd9ae13f20ba4"
