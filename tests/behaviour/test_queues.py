"""Queues: what is sent arrives once, in order, within limits, and may be waited for."""

import asyncio
from typing import Any

import pytest

from rivetless import ActorError
from tests.behaviour.actors.queueing import Mail, Postman, Task, Tiny, Worker
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import ServerWorld, World


async def test_messages_come_in_the_order_in_which_they_were_sent(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await world.client.send(mail, Mail.numbers, 1)
    await world.client.send(mail, Mail.notes, "two")
    await mail.post("numbers", 3)
    assert await mail.take([]) == [1, "numbers", 1, 1]
    assert await mail.take_batch([], 9) == [[2, "notes", "two", 1], [3, "numbers", 3, 1]]
    assert await mail.take([]) is None


async def test_names_choose_and_unknown_ones_never_match(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await world.client.send(mail, Mail.numbers, 1)
    await world.client.send(mail, Mail.notes, "two")
    await world.client.send(mail, Mail.numbers, 3)
    assert await mail.take(["nothing"]) is None
    assert await mail.take(["notes", "notes"]) == [2, "notes", "two", 1]
    assert await mail.take_batch(["notes", "numbers"], 2) == [
        [1, "numbers", 1, 1],
        [3, "numbers", 3, 1],
    ]


async def test_ids_are_never_given_twice(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    for number in range(1, 4):
        await world.client.send(mail, Mail.numbers, number)
        assert await mail.take([]) == [number, "numbers", number, 1]
    await world.forget(mail)
    await world.client.send(mail, Mail.numbers, 4)
    assert (await mail.take([]))[0] == 4  # type: ignore[index]


async def test_what_is_sent_lasts(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await world.client.send(mail, Mail.notes, "hello")
    await world.forget(mail)
    assert await mail.take([]) == [1, "notes", "hello", 1]


async def test_bodies_are_checked(world: World) -> None:
    mail = world.client.get_or_create("mail", world.key)
    with pytest.raises(ActorError) as wrong:
        await world.client.send(mail, "numbers", "many")
    assert wrong.value.name == "actor.validation_error"
    with pytest.raises(ActorError) as wrong:
        await mail.post("tasks", {"txt": "x"})
    assert wrong.value.name == "actor.validation_error"
    await world.client.send(mail, "anything", {"a": [1, None, {"b": b"\x00"}]})
    assert (await mail.take([]))[2] == {"a": [1, None, {"b": b"\x00"}]}


async def test_a_queue_nobody_declared_takes_everything(world: World) -> None:
    mail = world.client.get_or_create("mail", world.key)
    await world.client.send(mail, "nothing", 1)
    assert await world.client.send_and_wait(mail, "nothing", 1) is None
    counter = world.client.get_or_create("counter", world.key)
    assert await world.client.send_and_wait(counter, "jobs", 1, timeout=1) is None
    with pytest.raises(ActorError) as wrong:
        await mail.post("nothing", 1)
    assert wrong.value.name == "queue.message_invalid"


async def test_python_names_are_understood(world: World) -> None:
    mail = world.client.get_or_create("mail", world.key)
    await world.client.send(mail, "notes", "x")
    assert await mail.take(["notes"]) == [1, "notes", "x", 1]


async def test_a_queue_has_a_limit(world: World) -> None:
    tiny = world.client.get_or_create(Tiny, world.key)
    await world.client.send(tiny, Tiny.notes, "a")
    with pytest.raises(ActorError) as full:
        await world.client.send(tiny, Tiny.notes, "b")
    assert full.value.name == "queue.full"
    assert full.value.message == "Queue is full. Limit is 1 messages."
    assert full.value.metadata == {"limit": 1}
    assert await tiny.take() == "a"
    with pytest.raises(ActorError) as full:
        await tiny.post_two()
    assert full.value.name == "queue.full"
    assert await tiny.take() is None


async def test_the_limit_holds_for_many_at_once(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await mail.log_of_hooks()
    sends = [world.client.send(mail, Mail.numbers, number) for number in range(80)]
    results = await asyncio.gather(*sends, return_exceptions=True)
    refused = [error for error in results if isinstance(error, ActorError)]
    assert {error.name for error in refused} == {"queue.full"}
    assert len(refused) == 30
    assert len(await mail.take_batch([], 80)) == 50


async def test_a_message_has_a_limit(world: World) -> None:
    tiny = world.client.get_or_create(Tiny, world.key)
    await world.client.send(tiny, Tiny.notes, "a")
    with pytest.raises(ActorError) as large:
        await world.client.send(tiny, Tiny.notes, "x" * 200)
    assert large.value.name == "queue.message_too_large"
    assert large.value.metadata == {"limit": 64, "size": 202}


async def test_only_those_who_may_send(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    with pytest.raises(ActorError) as denied:
        await world.client.send(mail, Mail.members, "x")
    assert denied.value.name == "auth.forbidden"
    member = world.client.get_or_create(Mail, world.key, params={"member": True})
    await world.client.send(member, Mail.members, "y")
    await mail.post("members", "the actor itself may")
    assert [m[2] for m in await mail.take_batch([], 9)] == ["y", "the actor itself may"]


async def test_a_turn_that_fails_sends_and_takes_nothing(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    with pytest.raises(ActorError, match="never mind"):
        await mail.post_and_fail("lost")
    assert await mail.take([]) is None
    await world.client.send(mail, Mail.notes, "kept")
    with pytest.raises(ActorError, match="got kept"):
        await mail.take_and_fail()
    assert await mail.take([]) == [1, "notes", "kept", 2]


async def test_what_fails_in_actions_becomes_a_dead_letter_too(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await world.client.send(mail, Mail.notes, "bad")
    for _ in range(5):
        with pytest.raises(ActorError, match="got bad"):
            await mail.take_and_fail()
    with pytest.raises(ActorError, match="got None"):
        await mail.take_and_fail()


async def test_waiting_ends_with_a_message_or_the_time(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    assert await world.elapse(0.05, mail.take([], 0.05)) is None
    assert await world.elapse(0.05, mail.take_batch([], 3, 0.05)) == []
    with pytest.raises(ActorError) as late:
        await world.elapse(0.05, mail.insist("notes", 0.05))
    assert late.value.name == "queue.timed_out"
    waiting = asyncio.ensure_future(mail.take_batch([], 3, None))
    await world.pause()
    await world.client.send(mail, Mail.notes, "here")
    assert await waiting == [[1, "notes", "here", 1]]


async def test_looking_does_not_wait(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    assert await mail.try_batch(3) == []
    for number in range(4):
        await mail.post("numbers", number)
    assert await mail.try_batch(3) == [1, 2, 3]
    assert await mail.try_batch(3) == [4]


async def test_one_message_goes_to_one_receiver(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    for number in range(10):
        await mail.post("numbers", number)
    taken = await asyncio.gather(*(mail.take([]) for _ in range(12)))
    assert sorted(m[2] for m in taken if m is not None) == list(range(10))


async def test_destroy_ends_a_wait(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    with pytest.raises(ActorError) as aborted:
        await mail.destroy_while_waiting()
    assert aborted.value.name == "actor.aborted"


@IN_MEMORY
async def test_sleep_ends_a_wait(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    waiting = asyncio.ensure_future(mail.wait_forever())
    await world.pause()
    await mail.doze()
    with pytest.raises(ActorError) as aborted:
        await waiting
    assert aborted.value.name == "actor.aborted"


async def test_a_hook_may_send(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await mail.doze()
    taken = await world.eventually(lambda: mail.take(["notes"]), lambda found: found is not None)
    assert taken == [1, "notes", "asleep", 1]


# -- completion -----------------------------------------------------------------------------------


async def test_a_sender_gets_the_reply(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    asked = asyncio.ensure_future(
        world.client.send_and_wait(mail, Mail.tasks, Task(text="job"), timeout=5)
    )
    assert await mail.answer(42) == "job"
    assert await asked == 42
    assert await mail.take([]) is None


async def test_a_queue_without_replies_can_be_waited_for(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    asked = asyncio.ensure_future(world.client.send_and_wait(mail, "notes", "a", timeout=5))
    assert await mail.complete_anything() == "a"
    assert await asked is None
    asked = asyncio.ensure_future(world.client.send_and_wait(mail, "notes", "b", timeout=5))
    await world.eventually(lambda: mail.take([]), lambda found: found is not None)
    assert await asked is None  # what is received for good is done


async def test_a_sender_waits_no_longer_than_it_says(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    with pytest.raises(ActorError) as late:
        await world.elapse(0.1, world.client.send_and_wait(mail, "notes", "a", timeout=0.1))
    assert late.value.name == "queue.timed_out"
    assert await mail.take([]) == [1, "notes", "a", 1]


async def test_what_is_not_completed_comes_again(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    await world.client.send(mail, Mail.tasks, Task(text="job"))
    assert await mail.leave_open() == 1
    assert await mail.leave_open() == 1
    assert (await mail.take([]))[0] == 1  # type: ignore[index]
    assert await mail.take([]) is None


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("complete_twice", "queue.already_completed"),
        ("receive_twice", "queue.previous_message_not_completed"),
        ("complete_plain", "queue.complete_not_configured"),
    ],
)
async def test_mistakes_are_told(world: World, call: str, code: str) -> None:
    mail = world.client.get_or_create("mail", world.key)
    await world.client.send(mail, "tasks", {"text": "a"})
    await world.client.send(mail, "notes", "b")
    with pytest.raises(ActorError) as wrong:
        await getattr(mail, call)()
    assert wrong.value.name == code
    assert [m[0] for m in await mail.take_batch([], 9)] == [1, 2]


async def test_an_actor_asks_its_own_loop(world: World) -> None:
    worker = world.client.get_or_create(Worker, world.key)
    assert await worker.ask_itself("four") == 4
    assert await world.elapse(0.05, worker.give_up_asking()) == "queue.timed_out"


# -- to other actors ------------------------------------------------------------------------------


async def test_a_send_leaves_with_the_commit(world: World) -> None:
    postman = world.client.get_or_create(Postman, world.key)
    mail = world.client.get_or_create(Mail, world.key)
    with pytest.raises(ActorError, match="never mind"):
        await postman.deliver_and_fail(world.key)
    await postman.deliver(world.key, 3)
    taken: list[Any] = []

    async def take() -> list[Any]:
        taken.extend(m[2] for m in await mail.take_batch([], 9))
        return taken

    assert await world.eventually(take, lambda seen: len(seen) == 3) == ["0", "1", "2"]


async def test_an_actor_asks_another_ones_loop(world: World) -> None:
    postman = world.client.get_or_create(Postman, world.key)
    assert await postman.ask(world.key, "three") == 5


async def test_a_repeated_send_arrives_once(world: World) -> None:
    mail = world.client.get_or_create(Mail, world.key)
    keyed = world.client.with_options(mail, idempotency_key=f"key-{world.key}")
    for _ in range(3):
        await world.client.send(keyed, Mail.notes, "once")
    with pytest.raises(ActorError) as other:
        await world.client.send(keyed, Mail.notes, "other")
    assert other.value.name == "actor.idempotency_mismatch"
    assert await mail.take_batch([], 9) == [[1, "notes", "once", 1]]


# -- over HTTP ------------------------------------------------------------------------------------


async def test_the_route_as_it_is(server: ServerWorld) -> None:
    query = f"rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key={server.key}"
    path = f"/gateway/worker/queue/tasks?{query}"
    body = {"body": {"text": "json"}, "name": "ignored", "wait": True, "timeout": 5000}
    answer = await server.http.post(path, json=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "completed", "response": 4})
    answer = await server.http.post(path, json={"body": {"text": "x"}, "wait": False})
    assert (answer.status_code, answer.json()) == (200, {"status": "completed"})
    answer = await server.http.post(path, json={"body": {"text": 5}})
    assert answer.json()["code"] == "validation_error"
    path = path.replace("/worker/", "/mail/").replace("/tasks", "/notes")
    answer = await server.http.post(path, json={"body": "x", "wait": True, "timeout": 50})
    assert (answer.status_code, answer.json()) == (200, {"status": "timedOut"})
