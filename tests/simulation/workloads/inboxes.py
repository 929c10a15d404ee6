"""Queues: from clients and through outboxes, plain and completable, poisoned and waited for."""

from collections.abc import Iterable
from dataclasses import replace

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.simulation.checkers import queues
from rivetless.testing.simulation.history import Operation, Refused, Unknown
from tests.simulation.workloads.base import Program, Workload

AFTERWARDS = (Refused("rivetkit.internal_error"), Refused("queue.timed_out"))
"""What tells nothing of whether a message was sent to whoever waited for its reply."""


CONFLICT = Refused("actor.conflict")
"""The turn itself has written nothing. What it has sent before is sent."""


class Done(BaseModel):
    jobs: list[str] = []
    asks: list[str] = []
    tries: list[str] = []


class Inbox(Actor[Done]):
    """Works off what is sent to it."""

    jobs = Queue[str](max_deliveries=3)
    asks = Queue[str, str](max_deliveries=3)

    async def run(self) -> None:
        async for message in self.queue.iter():
            body = str(message.body)
            if "poison" in body or ("once" in body and message.attempt < 2):
                raise RuntimeError(f"injected: {body} does not go down")
            if "slow" in body:
                await self.queue_pause()
            if body.startswith("ask"):
                self.state.asks.append(body)
                message.complete(f"re: {body}")
            else:
                self.state.jobs.append(body)

    async def queue_pause(self) -> None:
        """Wait for something else, between reading and writing."""
        from asyncio import sleep

        await sleep(0.01)

    @action
    async def touch(self) -> int:
        """Change the state beside the loop, so that its unit conflicts."""
        self.state.tries.append("")
        return len(self.state.tries)

    @action
    async def ask_yourself(self, body: str) -> str:
        """Send to the own loop and wait."""
        return await self.queue.enqueue_and_wait(self.asks, body, timeout=20)

    @action
    async def done(self) -> Done:
        """Return what was worked off."""
        return self.state

    @action
    async def dead(self) -> list[str]:
        """Return what was given up."""
        letters = await self.dead_letters.list(kind="message")
        return [letter.body[1] for letter in letters if isinstance(letter.body, list)]


class Sent(BaseModel):
    count: int = 0


class Sender(Actor[Sent]):
    """Sends with its commits."""

    @action
    async def post(self, bodies: list[str]) -> int:
        """Send all of them, with this commit."""
        inbox = self.client.get_or_create(Inbox, "a")
        for body in bodies:
            await self.client.send(inbox, Inbox.jobs, body)
        self.state.count += 1
        return self.state.count


class Inboxes(Workload):
    """Messages of all kinds to one inbox."""

    name = "inboxes"
    actors = (Inbox, Sender)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 4)):
            kind = dice.choices(("", "slow", "once", "poison"), (5, 2, 1, 1))[0]
            body = f"{kind}{client}.{turn}"
            way = dice.choices(("send", "post", "ask", "wait", "touch"), (4, 3, 2, 1, 2))[0]
            if way == "send":
                key = f"k{client}.{turn}" if dice.random() < 0.4 else None
                await self.send(
                    client, Inbox, "a", Inbox.jobs, body, idempotency_key=key, tries=3 if key else 1
                )
            elif way == "post":
                await self.call(client, Sender, dice.choice("st"), "post", [body, f"{body}+"])
            elif way == "ask":
                await self.ask(client, Inbox, "a", Inbox.asks, f"ask{body}")
            elif way == "wait":
                await self.call(client, Inbox, "a", "ask_yourself", f"ask{body}")
            else:
                await self.call(client, Inbox, "a", "touch")
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        done: Done = await self.read(Inbox, "a", "done")
        dead = await self.read(Inbox, "a", "dead")
        sends = self.sends()
        applied = [*done.jobs, *done.asks]
        queues.conserved(sends, applied, dead, message=_body)
        for body in applied:
            self.must("poison" not in body, f"what never goes down is done: {body}")
        # A message that failed comes again later; it is overtaken meanwhile.
        smooth = [one for one in sends if "once" not in str(_body(one))]
        direct = [one for one in smooth if one.call == "enqueue"]
        queues.first_in_first_out(direct, done.jobs, message=_body)

    def sends(self) -> list[Operation]:
        """All messages, each as one call."""
        found: list[Operation] = []
        for operation in self.all():
            late = operation.call == "ask_yourself" and operation.outcome == CONFLICT
            if operation.outcome in AFTERWARDS or late:
                # The message was there: this is what it failed with in the end, or that it took
                # too long.
                operation = replace(operation, outcome=Unknown("it failed"))
            if operation.call == "post":
                (bodies,) = operation.args
                assert isinstance(bodies, list)
                found += [replace(operation, args=(Inbox.jobs.name, one)) for one in bodies]
            elif operation.call == "ask_yourself":
                found.append(replace(operation, args=(Inbox.asks.name, *operation.args)))
            elif operation.call == "enqueue":
                found.append(operation)
        return found


def _body(operation: Operation) -> str:
    return str(operation.args[1])
