"""What a behaviour test sees of the cell it runs in."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, Self, TypeVar

import httpx

from rivetless.client import Client, HTTPTransport
from rivetless.testing.rig import Rig
from tests.behaviour.cells import Cell
from tests.servers import LabProcess, ServerProcess

T = TypeVar("T")

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Reading the machine's certificates takes longer than most tests, which use plain HTTP."""

TOKEN: Final = "of-the-administrators"

POLLS: Final = 1200
POLL_SECONDS: Final = 0.01


class World(ABC):
    """Actors somewhere, and clients of them.

    Attributes:
        cell: which host, store and encoding.
        key: a key that no other test uses.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.key = uuid.uuid4().hex[:12]

    @property
    @abstractmethod
    def client(self) -> Client:
        """A client of the namespace ``default``."""

    @abstractmethod
    def new_client(self, namespace: str | None = None) -> Client:
        """Return another client; the world closes it."""

    @abstractmethod
    async def elapse(self, seconds: float, call: Awaitable[T]) -> T:
        """Await something that takes ``seconds`` of the actors' time."""

    @abstractmethod
    async def pause(self) -> None:
        """Let the actors do what they can do now."""

    @abstractmethod
    async def forget(self, actor: object) -> None:
        """Make whatever process runs the actor forget all it knows of it; ``on_sleep`` may run."""

    async def eventually(
        self, look: Callable[[], Awaitable[T]], wanted: Callable[[T], object]
    ) -> T:
        """Look until what is seen is what is wanted; fails after some seconds."""
        seen = await look()
        for _ in range(POLLS):
            if wanted(seen):
                return seen
            await self.pause()
            seen = await look()
        raise AssertionError(f"this is all that was seen: {seen!r}")


class RigWorld(World):
    """Actors in this process, whose time is the test's."""

    def __init__(self, cell: Cell, rig: Rig) -> None:
        super().__init__(cell)
        self.rig = rig
        self._others: list[Client] = []

    @property
    def client(self) -> Client:
        return self.rig.client

    def new_client(self, namespace: str | None = None) -> Client:
        client = self.rig.new_client(namespace)
        self._others.append(client)
        return client

    async def elapse(self, seconds: float, call: Awaitable[T]) -> T:
        task = asyncio.ensure_future(call)
        for _ in range(POLLS):
            # SQLite answers from a thread, which the fake clock does not wait for.
            done, _pending = await asyncio.wait({task}, timeout=POLL_SECONDS)
            if done:
                break
            await self.rig.advance(seconds)
        return await task

    async def pause(self) -> None:
        await self.rig.settle()
        # Stores answer from threads and sockets, and actors may sleep: nothing of it waits for the
        # fake clock.
        resting = asyncio.ensure_future(self.rest())
        await asyncio.wait({resting}, timeout=POLL_SECONDS)
        resting.cancel()
        await self.rig.advance(POLL_SECONDS)

    async def rest(self) -> None:
        """Wait until nothing is under way, also in a store that answers in its own time."""
        await self.rig.settle()
        await self.rig.runtime.settle()

    async def forget(self, actor: object) -> None:
        self.rig.restart()

    async def aclose(self) -> None:
        """Close the other clients."""
        for client in self._others:
            await client.aclose()


class ServerWorld(World):
    """Actors on a real server, reached over real sockets.

    Attributes:
        process: the server.
        endpoint: where the server is.
        http: a bare HTTP client of the server.
    """

    def __init__(self, cell: Cell, process: ServerProcess) -> None:
        super().__init__(cell)
        self.process = process
        self.endpoint = process.endpoint
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        self.http = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self.endpoint, timeout=None, verify=NO_TLS)
        )
        self._client = self.new_client()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._stack.__aexit__(*exc_info)

    @property
    def client(self) -> Client:
        return self._client

    def new_client(self, namespace: str | None = None) -> Client:
        encoding: Any = self.cell.encoding
        transport = HTTPTransport(
            self.endpoint, namespace=namespace, encoding=encoding, http=self.http
        )
        client = Client(transport=transport)
        self._stack.push_async_callback(client.aclose)
        return client

    async def elapse(self, seconds: float, call: Awaitable[T]) -> T:
        return await call

    async def pause(self) -> None:
        await asyncio.sleep(POLL_SECONDS)

    async def forget(self, actor: object) -> None:
        actor_id = await self.client.resolve(actor)
        answer = await self.http.post(f"/actors/{actor_id}/sleep?namespace=default", json={})
        answer.raise_for_status()


class LambdaWorld(ServerWorld):
    """Actors in Lambda processes on this machine."""

    process: LabProcess

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.http.headers["authorization"] = f"Bearer {TOKEN}"
        return self

    async def forget(self, actor: object) -> None:
        # Which of them know the actor is Lambda's business.
        await asyncio.to_thread(self.process.recycle)


class Ear:
    """Collects what a callback is given, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, *args: Any) -> None:
        """Be the callback."""
        self.heard.append(args[0] if len(args) == 1 else args)
        self._changed.set()

    async def wait(self, count: int = 1) -> list[Any]:
        """Wait until so much was heard, and return all of it; pytest ends a wait in vain."""
        while len(self.heard) < count:
            await self._change()
        return self.heard

    async def wait_for(self, wanted: object) -> None:
        """Wait until this was heard."""
        while wanted not in self.heard:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
