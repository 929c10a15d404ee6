"""Callers that do not give up, and what must be true of actors when all is over."""

import asyncio
import contextlib
import itertools

import httpx

ACTORS = 3


class Load:
    """Callers that increment counters, each call with a key, until they are told to stop.

    Attributes:
        answers: what each actor answered to its calls, by key.
        tries: how many requests that took.
    """

    def __init__(self, doors: list[httpx.AsyncClient]) -> None:
        self._doors = doors
        self._changed = asyncio.Event()
        self._ends = False
        self.answers: list[dict[str, int]] = [{} for _ in range(ACTORS)]
        self.tries = 0

    async def caller(self, number: int) -> None:
        """Make one call after the other; each until it is acknowledged."""
        calls = 0
        while not self._ends:
            calls += 1
            actor = calls % ACTORS
            key = f"{number}-{calls}"
            self.answers[actor][key] = await self._call(number, actor, key)
            self._changed.set()

    async def _call(self, number: int, actor: int, key: str) -> int:
        query = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"
        url = f"/gateway/counter/action/increment?{query}&rvt-key=killed-{actor}"
        for door in itertools.count(number):
            self.tries += 1
            # A call that failed is repeated at the next server, whatever became of it.
            http = self._doors[door % len(self._doors)]
            with contextlib.suppress(httpx.TransportError):
                answer = await http.post(url, json={"args": [1]}, headers={"idempotency-key": key})
                if answer.status_code == 200:
                    output: int = answer.json()["output"]
                    return output
                assert answer.status_code in (500, 503, 504), answer.text
        raise AssertionError("the doors are endless")

    @property
    def acknowledged(self) -> int:
        """How many calls were answered."""
        return sum(map(len, self.answers))

    async def more(self, count: int) -> None:
        """Wait until so many more calls are answered."""
        wanted = self.acknowledged + count
        while self.acknowledged < wanted:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Let every caller finish its call."""
        self._ends = True

    async def check(self) -> None:
        """Fail unless each call was applied once, and at every door the totals are right."""
        for number, answers in enumerate(self.answers):
            url = "/gateway/counter/action/get?rvt-namespace=default&rvt-method=get"
            for door in self._doors:
                answer = await door.post(f"{url}&rvt-key=killed-{number}", json={})
                assert answer.json() == {"output": len(answers)}
            # In what each call answered, all those before it are counted.
            assert sorted(answers.values()) == list(range(1, len(answers) + 1))
