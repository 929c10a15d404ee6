"""The bench actors: what ``rivetkit-baseline.mjs`` serves with RivetKit, in Python.

Names, arguments and results are the baseline's, so that one load generator drives both.
"""

from __future__ import annotations

from time import time
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from rivetless import Actor, Event, Queue, WorkflowContext, action, setup, workflow

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


class Wire(BaseModel):
    """Has camelCase fields on the wire, as the baseline's objects have."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Plan(BaseModel):
    """Input of ``Steps``."""

    steps: int = 100


class StepsTaken(Wire):
    """State of ``Steps``; instants in Unix milliseconds, 0 until they come."""

    steps: int
    done: int = 0
    started_at: int = 0
    finished_at: int = 0


class Steps(Actor[StepsTaken], name="wf"):
    """A workflow of as many steps as it is asked for."""

    async def create_state(self, input: Plan) -> StepsTaken:
        """Take the number of steps from the input."""
        return StepsTaken(steps=input.steps)

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        """Begin, take the steps one after another, end."""
        steps = await ctx.step("begin", self.begin)
        for number in range(steps):
            await ctx.step(f"step-{number}", self.take, number)
        await ctx.step("end", self.end)

    async def begin(self) -> int:
        """Note when; return how many steps there are to take."""
        self.state.started_at = _milliseconds()
        return self.state.steps

    async def take(self, number: int) -> int:
        """Count one step."""
        self.state.done += 1
        return number

    async def end(self) -> None:
        """Note when."""
        self.state.finished_at = _milliseconds()

    @action
    async def progress(self) -> StepsTaken:
        """Return how far it is."""
        return self.state


class Reminded(Wire):
    """An event: when it was due and when it came, in Unix milliseconds."""

    due_at: int
    fired_at: int


class Fired(BaseModel):
    """State of ``Reminder``."""

    fired: int = 0


class Reminder(Actor[Fired]):
    """Tells everybody connected when a time has come."""

    reminder = Event[Reminded]()

    @action
    async def set_reminder(self, delay_ms: int) -> int:
        """Fire in ``delay_ms``; return when that is."""
        due_at = _milliseconds() + delay_ms
        self.schedule.after(delay_ms / 1000, self.fire, due_at)
        return due_at

    @action
    async def fire(self, due_at: int) -> None:
        """Broadcast how late it is."""
        self.state.fired += 1
        self.broadcast(self.reminder, Reminded(due_at=due_at, fired_at=_milliseconds()))

    @action
    async def fired(self) -> int:
        """Return how often it fired."""
        return self.state.fired


def _milliseconds() -> int:
    return int(time() * 1000)


registry = setup(use=[Counter, Echo, ChatRoom, Sleeper, Worker, Steps, Reminder])
