"""Queues and loops: what is sent, who receives it, and what a loop makes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, Message, Queue, UserError, action


class Task(BaseModel):
    text: str
    fail: bool = False


class Log(BaseModel):
    lines: list[str] = []
    count: int = 0


async def members_only(actor: Actor[Any, Any, Any]) -> bool:
    return bool(actor.conn.params == {"member": True})


def show(message: Message[Any, Any]) -> list[Any]:
    """Return what a test looks at."""
    return [message.id, message.name, message.body, message.attempt]


class Mail(Actor[Log], max_queue_size=50):
    """Receives in its actions, as they are told to."""

    tasks = Queue[Task, int]()
    notes = Queue[str]()
    numbers = Queue[int]()
    members = Queue[str](can_publish=members_only)
    anything = Queue[Any, Any]()

    @action
    async def post(self, queue: str, body: Any) -> None:
        """Send to itself, in the turn's commit."""
        self.queue.send(queue, body)

    @action
    async def post_and_fail(self, body: str) -> None:
        """Send something that is never sent."""
        self.queue.send(self.notes, body)
        raise UserError("never mind")

    @action
    async def take(self, names: list[str], timeout: float | None = 0) -> list[Any] | None:
        """Receive one message."""
        message = await self.queue.next(*names, timeout=timeout, completable=False)
        return None if message is None else show(message)

    @action
    async def take_batch(
        self, names: list[str], count: int, timeout: float | None = 0
    ) -> list[list[Any]]:
        """Receive some messages."""
        found = await self.queue.next_batch(*names, count=count, timeout=timeout, completable=False)
        return [show(message) for message in found]

    @action
    async def try_batch(self, count: int) -> list[int]:
        """Receive the ids of what is there."""
        found = await self.queue.try_next_batch(count=count, completable=False)
        return [message.id for message in found]

    @action
    async def take_and_fail(self) -> None:
        """Receive a message and fail."""
        message = await self.queue.try_next(self.notes)
        raise UserError(f"got {message and message.body}")

    @action
    async def insist(self, name: str, timeout: float) -> str:
        """Wait for a message; it is an error if there is none."""
        return str((await self.queue.wait_for(name, timeout=timeout)).body)

    @action
    async def answer(self, reply: int) -> str:
        """Complete the first task."""
        message = await self.queue.next(self.tasks)
        message.complete(reply)
        return message.body.text

    @action
    async def complete_anything(self) -> str:
        """Complete a message of a queue that says nothing of replies."""
        message = await self.queue.next(self.notes, completable=True)
        message.complete()
        return message.body

    @action
    async def leave_open(self) -> int:
        """Receive a task and do not complete it."""
        return (await self.queue.next(self.tasks)).id

    @action
    async def complete_twice(self) -> None:
        """Make a mistake."""
        message = await self.queue.next(self.tasks)
        message.complete(1)
        message.complete(2)

    @action
    async def receive_twice(self) -> None:
        """Make another mistake."""
        await self.queue.next(self.tasks)
        await self.queue.next(self.notes, timeout=0)

    @action
    async def complete_plain(self) -> None:
        """Complete what is gone already."""
        (await self.queue.next(self.notes)).complete()

    @action
    async def destroy_while_waiting(self) -> None:
        """Wait for what cannot come any more."""
        self.destroy()
        await self.queue.next(self.notes)

    @action
    async def wait_forever(self) -> None:
        """Wait until the actor stops."""
        await self.queue.next(self.numbers)

    @action
    async def log_of_hooks(self) -> list[str]:
        """Return the log."""
        return self.state.lines

    @action
    async def doze(self) -> None:
        """Sleep."""
        self.sleep()

    async def on_sleep(self) -> None:
        self.queue.send(self.notes, "asleep")


class Tiny(Actor, max_queue_size=1, max_queue_message_size=64):
    """Has little room."""

    notes = Queue[str]()

    @action
    async def post_two(self) -> None:
        """Send more than there is room for, in one turn."""
        self.queue.send(self.notes, "a")
        self.queue.send(self.notes, "b")

    @action
    async def take(self) -> str | None:
        """Receive one."""
        message = await self.queue.try_next(self.notes)
        return None if message is None else message.body


class Postman(Actor[Log]):
    """Sends to other actors."""

    @action
    async def deliver(self, key: str, count: int) -> None:
        """Send some notes to a mailbox."""
        mail = self.client.get_or_create(Mail, key)
        for number in range(count):
            await self.client.send(mail, Mail.notes, str(number))

    @action
    async def deliver_and_fail(self, key: str) -> None:
        """Send a note that is never sent."""
        await self.client.send(self.client.get_or_create(Mail, key), Mail.notes, "lost")
        raise UserError("never mind")

    @action
    async def deliver_to_members(self, key: str, text: str) -> None:
        """Send something that is refused when it arrives."""
        await self.client.send(self.client.get_or_create(Mail, key), Mail.members, text)

    @action
    async def letters_of(self, key: str) -> list[str]:
        """Look at another one's dead letters."""
        letters = await self.client.dead_letters(self.client.get(Postman, key)).list()
        return [letter.error for letter in letters]

    @action
    async def ask(self, key: str, text: str) -> int:
        """Send a task to a worker and wait for the reply."""
        worker = self.client.get_or_create(Worker, key)
        return await self.client.send_and_wait(worker, Worker.tasks, Task(text=text), timeout=5)


class Worker(Actor[Log], sleep_timeout=0.5):
    """Consumes its queues in a loop."""

    tasks = Queue[Task, int](max_deliveries=3)
    notes = Queue[str]()
    done = Event[str]()

    async def on_wake(self) -> None:
        self.state.lines.append("wake")

    async def on_sleep(self) -> None:
        self.state.lines.append("sleep")
        self.broadcast("sleeping")

    async def run(self) -> None:
        async for message in self.queue.iter(self.tasks, self.notes):
            self.state.count += 1
            if isinstance(message.body, str):
                self.state.lines.append(f"note:{message.body}")
                continue
            if message.body.fail:
                raise UserError("as asked")
            self.state.lines.append(f"task:{message.body.text}")
            self.broadcast(self.done, message.body.text)
            await asyncio.sleep(0)
            message.complete(len(message.body.text))

    @action
    async def read(self) -> list[str]:
        """Return the log."""
        return self.state.lines

    @action
    async def counted(self) -> int:
        """Return how many messages had their effect."""
        return self.state.count

    @action
    async def fill(self, count: int) -> None:
        """Send some notes to itself."""
        for number in range(count):
            self.queue.send(self.notes, str(number))

    @action
    async def ask_itself(self, text: str) -> int:
        """Send a task to its own loop and wait for the reply."""
        return await self.queue.enqueue_and_wait(self.tasks, Task(text=text), timeout=5)

    @action
    async def give_up_asking(self) -> str:
        """Wait for a reply that does not come."""
        try:
            await self.queue.enqueue_and_wait(self.tasks, Task(text="x", fail=True), timeout=0.05)
        except ActorError as error:
            return error.name
        return "answered"

    @action
    async def letters(self) -> list[list[Any]]:
        """Return the dead letters."""
        found = await self.dead_letters.list()
        return [[letter.kind, letter.attempts, letter.error, letter.body] for letter in found]

    @action
    async def replay(self) -> None:
        """Put the dead letters back."""
        for letter in await self.dead_letters.list():
            await self.dead_letters.replay(letter.id)


class Ticker(Actor[Log], sleep_timeout=0.3):
    """Has a loop that does not wait for messages."""

    async def on_wake(self) -> None:
        self.state.lines.append("wake")

    async def on_sleep(self) -> None:
        self.state.lines.append("sleep")

    async def run(self) -> None:
        while not self.aborted and self.state.count < 20:
            self.state.count += 1
            await self.save_state()
            await self.keep_awake(asyncio.sleep(0.05))

    @action
    async def read(self) -> list[Any]:
        """Return count and log."""
        return [self.state.count, self.state.lines]


class Brief(Actor[Log], sleep_timeout=0.2):
    """Has a loop that ends, in the way its key says."""

    async def on_wake(self) -> None:
        self.state.lines.append("wake")

    async def on_sleep(self) -> None:
        self.state.lines.append("sleep")

    async def on_destroy(self) -> None:
        journal: Any = self.client.get_or_create("journal", f"brief-{self.key[-1]}")
        await journal.write("destroyed")

    async def run(self) -> None:
        self.state.lines.append("run")
        await self.save_state()
        how: dict[str, Callable[[], Awaitable[None] | None]] = {
            "fails": self._fail,
            "sleeps": self.sleep,
            "destroys": self.destroy,
        }
        act = how.get(self.key[0])
        if act is not None:
            act()

    def _fail(self) -> None:
        self.state.lines.append("half")
        raise RuntimeError("as asked")

    @action
    async def read(self) -> list[str]:
        """Return the log."""
        return self.state.lines


class Streamer(Actor[Log]):
    """Streams in its loop, and can be stopped meanwhile."""

    prompts = Queue[int, str]()
    token = Event[str]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.prompts):
            sent = 0
            for number in range(message.body):
                if self.state.count == message.id:
                    break
                self.broadcast(self.token, f"{message.id}:{number}")
                sent += 1
                await asyncio.sleep(0.01)
            self.state.lines.append(f"{message.id}:{sent}")
            message.complete(f"{sent}")

    @action
    async def cancel(self, message: int) -> None:
        """Stop streaming for a prompt."""
        self.state.count = message

    @action
    async def read(self) -> list[str]:
        """Return the log."""
        return self.state.lines
