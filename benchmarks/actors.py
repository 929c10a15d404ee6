"""The bench actors: what ``rivetkit-baseline.mjs`` serves with RivetKit, in Python.

Names, arguments and results are the baseline's, so that one load generator drives both.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Event, Queue, action, setup

__all__ = ["registry"]


class Count(BaseModel):
    """State of ``Counter``."""

    count: int = 0


class Counter(Actor[Count]):
    """A number that grows."""

    @action
    async def increment(self, amount: int) -> int:
        """Add ``amount``; return the new count."""
        self.state.count += amount
        return self.state.count

    @action
    async def get_count(self) -> int:
        """Return the count."""
        return self.state.count


class Echo(Actor):
    """No state and no write: the cost of a call alone."""

    @action
    async def echo(self, value: Any) -> Any:
        """Return ``value``."""
        return value


class Message(BaseModel):
    """One message of a room."""

    id: int
    sender: str
    text: str


class Room(BaseModel):
    """State of ``ChatRoom``."""

    next_id: int = 0
    recent: list[Message] = []


class ChatRoom(Actor[Room]):
    """A room that tells everybody in it about new messages."""

    new_message = Event[Message]()

    @action
    async def send_message(self, sender: str, text: str) -> int:
        """Broadcast a message; return its id."""
        message = Message(id=self.state.next_id, sender=sender, text=text)
        self.state.next_id += 1
        self.state.recent = [*self.state.recent, message][-20:]
        self.broadcast(self.new_message, message)
        return message.id

    @action
    async def get_history(self) -> list[Message]:
        """Return the last twenty messages."""
        return self.state.recent


class Wakes(BaseModel):
    """State of ``Sleeper``."""

    wakes: int = 0


class Sleeper(Actor[Wakes]):
    """Counts how often it woke."""

    async def on_wake(self) -> None:
        """Count."""
        self.state.wakes += 1

    @action
    async def go_to_sleep(self) -> None:
        """Sleep at once."""
        self.sleep()

    @action
    async def wakes(self) -> int:
        """Return how often ``on_wake`` ran."""
        return self.state.wakes


class Work(BaseModel):
    """One task of a worker."""

    value: int


class Progress(BaseModel):
    """State of ``Worker``."""

    processed: int = 0
    sum: int = 0


class Worker(Actor[Progress], max_queue_size=100_000):
    """Consumes a queue in its loop."""

    tasks = Queue[Work]()

    async def run(self) -> None:
        """Add up what is sent."""
        async for message in self.queue.iter(self.tasks):
            self.state.processed += 1
            self.state.sum += message.body.value

    @action
    async def fill(self, count: int) -> None:
        """Send ``count`` tasks to itself."""
        for value in range(count):
            self.queue.send(self.tasks, Work(value=value))

    @action
    async def processed(self) -> int:
        """Return how many tasks are done."""
        return self.state.processed

    @action
    async def sum(self) -> int:
        """Return the sum of their values."""
        return self.state.sum


registry = setup(use=[Counter, Echo, ChatRoom, Sleeper, Worker])
