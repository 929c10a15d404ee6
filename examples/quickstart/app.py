"""A counter: typed state, checked calls, an event that every client hears."""

from pydantic import BaseModel

from rivetless import Actor, Event, action, setup


class CounterState(BaseModel):
    count: int = 0


class Counter(Actor[CounterState]):
    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        self.state.count += amount
        self.broadcast(self.changed, self.state.count)
        return self.state.count


registry = setup(use=[Counter])
