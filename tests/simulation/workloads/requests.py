"""Raw HTTP and raw sockets: handlers of plain requests that change the state, and act outside."""

import asyncio
from collections import Counter as Bag
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from rivetless import Actor, ActorError, UserError, action
from rivetless.actor.context import RawWebSocket
from rivetless.client.calls import FetchResponse
from rivetless.testing.simulation.checkers import effects, linearizability
from rivetless.testing.simulation.checkers.models import Counter
from rivetless.testing.simulation.history import Effect, Ok, Operation, Outcome
from tests.simulation.workloads.base import Program, Workload, outside


class Passed(BaseModel):
    count: int = 0
    raw: list[str] = []


class Turnstile(Actor[Passed]):
    """Counts who passes; nobody leaves who has not come."""

    @action
    async def add(self, amount: int) -> int:
        """Count, as an action."""
        return self._add(amount)

    def _add(self, amount: int) -> int:
        if self.state.count + amount < 0:
            raise UserError("Nobody is there.", code="too_little")
        self.state.count += amount
        return self.state.count

    async def on_request(self, request: Request) -> Response:
        """Count, in the way that the path says."""
        match request.url.path:
            case "/count":
                return PlainTextResponse(str(self.state.count))
            case "/add":
                return PlainTextResponse(str(self._add(int(await request.body()))))
            case "/add-slowly":
                before = self.state.count
                await asyncio.sleep(0.02)
                if before + int(await request.body()) < 0:
                    raise UserError("Nobody is there.", code="too_little")
                self.state.count = before + int(await request.body())
                return PlainTextResponse(str(self.state.count))
            case "/tell":
                amount, subject = (await request.body()).decode().split()
                await outside("told", self.turn_id, subject)
                return PlainTextResponse(str(self._add(int(amount))))
            case "/stream":
                return StreamingResponse(self._stream([piece async for piece in request.stream()]))
            case _:
                return Response(status_code=404)

    async def _stream(self, pieces: list[bytes]) -> AsyncIterator[str]:
        """Count while the answer is under way already."""
        yield f"{self.state.count} "
        await asyncio.sleep(0.005)
        yield str(self._add(int(b"".join(pieces))))

    async def on_websocket(self, websocket: RawWebSocket[Any, Any]) -> None:
        websocket.send("welcome")

    async def on_websocket_message(
        self, websocket: RawWebSocket[Any, Any], message: str | bytes
    ) -> None:
        self.state.raw.append(str(message))
        websocket.send(f"{message!s} is {len(self.state.raw)}")

    @action
    async def heard(self) -> list[str]:
        """Return what came over raw sockets."""
        return self.state.raw


WAYS = ("add", "add-slowly", "tell", "stream")


class Requests(Workload):
    """Requests of several clients to one actor, some calls among them, and a raw socket."""

    name = "requests"
    actors = (Turnstile,)
    share = 0.25

    def programs(self) -> Iterable[Program]:
        self.answers: dict[str, list[str]] = {}
        for n in range(1, self.between(2, 3) + 1):
            yield self.client(f"c{n}")
        if self.dice("raw").random() < 0.3:
            yield self.talk("r1")

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 4)):
            amount, chance = dice.choice((1, 2, 5, -1, -3)), dice.random()
            if chance < 0.15:
                await self.call(client, Turnstile, "a", "add", amount)
            elif chance < 0.35:
                await self.fetch("GET", "/count", "")
            else:
                way = dice.choice(WAYS)
                body = f"{amount} {client}.{turn}" if way == "tell" else f"{amount}"
                await self.fetch("POST", f"/{way}", body)
            await self.pause(dice.random() * 0.3)

    async def fetch(self, method: str, path: str, body: str) -> Outcome:
        """Make a request."""
        handle = self.sim.client.get_or_create(Turnstile, "a")
        return await self.sim.attempt(self.sim.client.fetch(handle, path, method=method, body=body))

    async def talk(self, client: str) -> None:
        """Say something over a raw socket, and wait for what comes back each time."""
        dice = self.dice(client)
        handle = self.sim.client.get_or_create(Turnstile, "a")
        answers = self.answers[client] = []
        with suppress(ActorError, TimeoutError):
            async with asyncio.timeout(40), self.sim.client.web_socket(handle) as socket:
                answers.append(str(await socket.receive()))
                for turn in range(dice.randint(1, 3)):
                    await socket.send(f"{client}.{turn}")
                    answers.append(str(await socket.receive()))

    async def check(self) -> None:
        await self.fetch("GET", "/count", "")
        heard: list[str] = await self.read(Turnstile, "a", "heard")
        made = [one for one in self.of(Turnstile, "a") if one.call != "heard"]
        linearizability.check(list(map(_plain, made)), Counter(least=0, refusal="user.too_little"))

        def subject(effect: Effect) -> object:
            return effect.value

        told = [one for one in made if one.call == "fetch" and one.args[1] == "/tell"]
        # Who is refused has told before: the other system knows the turn again.
        effects.exactly_once(self.seen("told"), told, _subject, subject=subject, refused=1)
        self.must(max(Bag(heard).values(), default=0) <= 1, f"heard twice: {heard}")
        for answers in self.answers.values():
            for answer in answers[1:]:
                text, _, place = answer.partition(" is ")
                there = heard[int(place) - 1 : int(place)] == [text]
                self.must(there, f"answered, and not there: {answer}, {heard}")


def _subject(operation: Operation) -> str:
    return _body(operation).split()[1]


def _body(operation: Operation) -> str:
    body = operation.args[2]
    assert isinstance(body, bytes)
    return body.decode()


def _plain(operation: Operation) -> Operation:
    """Take a request for the call that it stands for."""
    if operation.call != "fetch":
        return operation
    outcome = operation.outcome
    if isinstance(outcome, Ok):
        response = outcome.value
        assert isinstance(response, FetchResponse)
        assert response.status == 200, response
        numbers = list(map(int, response.text.split()))
        outcome = Ok(numbers[-1])
    if operation.args[0] == "GET":
        return replace(operation, call="get", args=(), outcome=outcome)
    amount = int(_body(operation).split()[0])
    return replace(operation, call="add", args=(amount,), outcome=outcome)
