"""What both checkers see of queues, in actors and in clients."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, reveal_type

from pydantic import BaseModel

from rivetless import Actor, Client, Queue


class Job(BaseModel):
    url: str


class Worker(Actor[int]):
    jobs = Queue[Job, int]()
    notes = Queue[str]()
    loose = Queue[Any, Any]()

    async def run(self) -> None:
        job = await self.queue.next(self.jobs)
        reveal_type(job)  # assert-type: Message[Job, int]
        reveal_type(job.body)  # assert-type: Job
        job.complete(3)
        job.complete("x")  # error
        job.complete()  # error
        note = await self.queue.next(self.notes, timeout=timedelta(seconds=1))
        reveal_type(note)  # assert-type: Message[str, None] | None
        if note is not None:
            note.complete()
        either = await self.queue.wait_for(self.notes, self.jobs)
        reveal_type(either)  # assert-type: Message[str, None] | Message[Job, int]
        reveal_type(await self.queue.try_next(self.jobs))  # assert-type: Message[Job, int] | None
        batch = await self.queue.next_batch(self.jobs, count=5)
        reveal_type(batch)  # assert-type: list[Message[Job, int]]
        named = await self.queue.next("jobs")
        reveal_type(named)  # assert-type: Message[Any, Any]
        async for message in self.queue.iter(self.jobs):
            reveal_type(message.body)  # assert-type: Job
        reveal_type(await self.queue.enqueue_and_wait(self.jobs, Job(url="x")))  # assert-type: int
        self.queue.send(self.jobs, Job(url="x"))
        self.queue.send(self.jobs, 5)  # error
        self.queue.send("jobs", 5)
        self.queue.send(self.loose, 5)


async def sends(client: Client) -> None:
    worker = client.get_or_create(Worker, "a")
    await client.send(worker, Worker.notes, "x")
    await client.send(worker, Worker.notes, 5)  # error
    reply = await client.send_and_wait(worker, Worker.jobs, Job(url="x"), timeout=5)
    reveal_type(reply)  # assert-type: int
    anything = await client.send_and_wait(worker, "jobs", {"url": "x"})
    reveal_type(anything)  # assert-type: Any
