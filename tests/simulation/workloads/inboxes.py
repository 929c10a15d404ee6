"""Queues: from clients and through outboxes, plain and completable, poisoned and waited for."""

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, cast

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.client.calls import QueueReply
from rivetless.testing.simulation.checkers import queues
from rivetless.testing.simulation.history import Ok, Operation, Outcome, Refused, Unknown
from tests.simulation.workloads.base import Program, Workload, witness

AFTERWARDS = (Refused("rivetkit.internal_error"), Refused("queue.timed_out"))
"""What tells nothing of whether a message was sent to whoever waited for its reply."""


CONFLICT = Refused("actor.conflict")
"""The turn itself has written nothing. What it has sent before is sent."""

GIVEN_UP = Refused("rivetkit.internal_error")
"""What its sender is told of a message that was given up."""

MOST = 3
"""How often a message may fail."""


class Done(BaseModel):
    jobs: list[str] = []
    asks: list[str] = []
    tries: list[str] = []
    ids: list[int] = []
    told: dict[str, str] = {}


class Inbox(Actor[Done]):
    """Works off what is sent to it."""

    jobs = Queue[str](max_deliveries=MOST)
    asks = Queue[str, str](max_deliveries=MOST)

    async def run(self) -> None:
        async for message in self.queue.iter():
            body = str(message.body)
            if "untroubled" in body:
                await self.refresh()  # what it sees may be old, and then it begins once more
                witness("delivered", body, message.attempt)
            if "poison" in body or ("once" in body and message.attempt < 2):
                raise RuntimeError(f"injected: {body} does not go down")
            if "slow" in body:
                await self.queue_pause()
            self.state.ids.append(message.id)
            if body.startswith("ask"):
                self.state.asks.append(body)
                self.state.told[body] = f"{len(self.state.ids)} and {len(self.state.tries)}"
                message.complete(self.state.told[body])
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
    crowded: ClassVar = 0.06
    """In which part of the seeds many others send as well."""

    def programs(self) -> Iterable[Program]:
        yield from (self.client(f"c{n}") for n in range(self.between(2, 3)))
        if self.dice("crowd").random() < self.crowded:
            yield from (self.hurry(f"h{n}") for n in range(6))

    async def hurry(self, client: str) -> None:
        """Send one message after the other, beside many others who do so."""
        for turn in range(3):
            await self.send(client, Inbox, "a", Inbox.jobs, f"{client}.{turn}")

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
                await self.ask_for(client, f"ask{body}")
            elif way == "wait":
                await self.call(client, Inbox, "a", "ask_yourself", f"ask{body}")
            else:
                await self.call(client, Inbox, "a", "touch")
            await self.pause(dice.random() * 0.3)

    async def ask_for(self, client: str, body: str) -> Outcome:
        """Send a message and wait for its answer: what was given up is a dead letter by then."""
        outcome = await self.ask(client, Inbox, "a", Inbox.asks, body)
        if outcome == GIVEN_UP:
            dead = await self.call(client, Inbox, "a", "dead")
            found = not isinstance(dead, Ok) or body in cast("list[str]", dead.value)
            self.must(found, f"{body} was given up, and is no dead letter: {dead}")
        return outcome

    async def untroubled(self) -> None:
        """Send when nothing goes wrong: who waits is answered, wherever the loop runs.

        A message that fails does so as often as it may, wherever it fails.
        """
        for number in range(3):
            outcome = await self.ask_for("end", f"ask untroubled {number}")
            answered = isinstance(outcome, Ok)
            self.must(answered, f"nothing went wrong, and who has asked was told {outcome}")
        outcome = await self.ask_for("end", "askpoison untroubled")
        tries = [one.value for one in self.seen("delivered") if one.key == "askpoison untroubled"]
        expected = list(range(1, MOST + 1))
        self.must(outcome == GIVEN_UP, f"what fails is given up, but {outcome}: {tries}")
        self.must(tries == expected, f"nothing went wrong, and it was tried {tries}")

    async def check(self) -> None:
        if self.dice("untroubled").random() < 0.1:
            await self.untroubled()
        done: Done = await self.read(Inbox, "a", "done")
        dead = await self.read(Inbox, "a", "dead")
        sends = self.sends()
        applied = [*done.jobs, *done.asks]
        queues.conserved(sends, applied, dead, message=_body)
        for body in applied:
            self.must("poison" not in body, f"what never goes down is done: {body}")
        self.must(len(set(done.ids)) == len(done.ids), f"one id for two messages: {done.ids}")
        for one in sends:
            told = one.value.response if isinstance(one.value, QueueReply) else one.value
            body = _body(one)
            if one.ok and body in done.told and told is not None:
                self.must(told == done.told[body], f"{one}, but it was {done.told[body]}")
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
