"""Actors for real Lambda processes."""

from rivetless import Actor, Queue, action, setup


class Worker(Actor[int]):
    """Adds up what is sent to it, in its loop."""

    initial_state = 0
    jobs = Queue[int]()

    @action
    async def add(self, number: int) -> None:
        self.queue.send(self.jobs, number)

    @action
    async def add_later(self, number: int) -> None:
        self.schedule.after(0.5, self.add, number)

    @action
    async def total(self) -> int:
        return self.state

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs):
            self.state += message.body


registry = setup(use=[Worker])
