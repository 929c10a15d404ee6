"""Actors in Lambda functions: the handler that template.yaml names, for every kind of event.

Copy this folder and template.yaml, and import your own registry. The functions' environment, which
the template sets, says the rest.
"""

from pydantic import BaseModel

from rivetless import Actor, Event, action, setup
from rivetless.hosts.aws_lambda import aws_lambda


class CounterState(BaseModel):
    """What a counter keeps."""

    count: int = 0


class Counter(Actor[CounterState]):
    """Replace this by actors of your own."""

    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        """Count, and tell everybody who listens."""
        self.state.count += amount
        self.broadcast(self.changed, self.state.count)
        return self.state.count


registry = setup(use=[Counter])

handler = aws_lambda(registry)
