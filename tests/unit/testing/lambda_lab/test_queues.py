"""Queues of the lab: delays, visibility, groups, dead letters, limits, and worse worlds."""

import asyncio

import pytest

from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.lambda_lab.failures import AWSError, Unreliable
from rivetless.testing.lambda_lab.queues import Queue


def bodies(queue: Queue, limit: int = 10) -> list[str]:
    return [message.body for message in queue.receive(limit).values()]


async def test_what_is_not_deleted_comes_again() -> None:
    clock = FakeClock()
    queue = Queue("wakes", clock, visibility=30)
    queue.send("a")
    queue.send("b")
    first, second = queue.receive(10)
    queue.delete(first)
    assert bodies(queue) == []
    clock.jump(30)
    again = queue.receive(10)
    assert list(again) == [second]
    assert again[second].receives == 2
    assert again[second].sent_at == again[second].first_received_at == clock.now() - 30


async def test_what_comes_too_often_goes_to_the_dead_letters() -> None:
    clock = FakeClock()
    dead = Queue("dead", clock)
    queue = Queue("wakes", clock, visibility=1, max_receives=2, dead=dead)
    queue.send("poison")
    for _ in range(2):
        assert bodies(queue) == ["poison"]
        clock.jump(1)
    assert bodies(queue) == []
    assert [message.body for message in dead.messages] == ["poison"]
    assert queue.messages == []


async def test_delays_are_waited_for() -> None:
    clock = FakeClock()
    queue = Queue("wakes", clock)
    queue.send("late", delay=900)
    waiting = asyncio.ensure_future(queue.wait())
    await clock.advance(899)
    assert not waiting.done()
    await clock.advance(1)
    assert waiting.done()
    assert bodies(queue) == ["late"]


async def test_waiting_ends_when_something_is_sent() -> None:
    queue = Queue("wakes", FakeClock())
    waiting = asyncio.ensure_future(queue.wait())
    await settle()
    assert not waiting.done()
    queue.send("now")
    await settle()
    assert waiting.done()


async def test_a_group_is_locked_while_one_of_it_is_under_way() -> None:
    clock = FakeClock()
    queue = Queue("frames.fifo", clock, visibility=30)
    for number in range(3):
        queue.send(f"a{number}", group="a", deduplication=f"a{number}")
    queue.send("b0", group="b", deduplication="b0")
    taken = queue.receive(2)
    assert [message.body for message in taken.values()] == ["a0", "a1"]
    assert bodies(queue) == ["b0"]
    first, second = taken
    queue.delete(first)
    assert bodies(queue) == []
    queue.delete(second)
    assert bodies(queue) == ["a2"]
    clock.jump(30)
    assert bodies(queue) == ["a2", "b0"]


async def test_repetitions_in_five_minutes_are_dropped() -> None:
    clock = FakeClock()
    queue = Queue("frames.fifo", clock)
    first = queue.send("x", group="a", deduplication="1")
    assert queue.send("x", group="a", deduplication="1") == first
    assert first.sequence is not None
    assert len(queue.messages) == 1
    clock.jump(300)
    assert queue.send("x", group="a", deduplication="1") != first
    assert len(queue.messages) == 2


@pytest.mark.parametrize(
    ("name", "body", "options", "code"),
    [
        ("wakes", "", {}, "MissingParameter"),
        ("wakes", "x" * (1024 * 1024 + 1), {}, "InvalidParameterValue"),
        ("wakes", "x", {"delay": 901}, "InvalidParameterValue"),
        ("wakes", "x", {"delay": -1}, "InvalidParameterValue"),
        ("wakes", "x", {"delay": 1.5}, "InvalidParameterValue"),
        ("f.fifo", "x", {"delay": 1, "group": "g"}, "InvalidParameterValue"),
        ("f.fifo", "x", {"deduplication": "1"}, "MissingParameter"),
        ("f.fifo", "x", {"group": "g"}, "MissingParameter"),
    ],
)
async def test_what_sqs_refuses(
    name: str, body: str, options: dict[str, object], code: str
) -> None:
    queue = Queue(name, FakeClock())
    with pytest.raises(AWSError) as caught:
        queue.send(body, **options)  # type: ignore[arg-type]  # a table of mistakes
    assert (caught.value.status, caught.value.code) == (400, code)
    assert queue.messages == []


async def test_a_worse_world() -> None:
    clock = FakeClock()
    queue = Queue("wakes", clock)
    queue.fate = Unreliable(3, lost=0.2, doubled=0.2, late=0.3, seconds=5)
    for number in range(100):
        queue.send(str(number))
    at_once = bodies(queue, 200)
    clock.jump(5)
    seen = at_once + bodies(queue, 200)
    assert 60 < len(set(seen)) < 95
    assert len(seen) > len(set(seen))
    assert sorted(seen, key=int) != seen
    assert sorted(at_once, key=int) == at_once
