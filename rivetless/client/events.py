"""Who listens to what on a connection: callbacks and streams of events."""

from __future__ import annotations

import asyncio
import logging
import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from inspect import Parameter, isawaitable, signature
from typing import Any, Generic, Protocol, Self, TypeAlias

from typing_extensions import TypeVar

from rivetless.client import failures
from rivetless.errors import ActorError

__all__ = [
    "CallbackListener",
    "Callbacks",
    "EventStream",
    "Listener",
    "Listeners",
    "StreamListener",
]

T = TypeVar("T", default=Any)

log = logging.getLogger("rivetless.client")

Decode: TypeAlias = Callable[[Sequence[object]], Any]
"""Makes the payload of an event's plain arguments."""


class Callbacks:
    """Runs the user's callbacks: an exception in one is logged and reaches nobody else.

    A callback may be a coroutine function; it then runs as a task of its own.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Call ``callback``."""
        try:
            result = callback(*args)
        except Exception:
            self._report(callback)
            return
        if isawaitable(result):
            task = asyncio.ensure_future(self._finish(callback, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, callback: Callable[..., object], result: Awaitable[object]) -> None:
        try:
            await result
        except Exception:
            self._report(callback)

    def _report(self, callback: Callable[..., object]) -> None:
        name = getattr(callback, "__qualname__", repr(callback))
        log.exception("a connection's callback failed: %s", name)

    async def cancel(self, caller: asyncio.Task[Any] | None) -> None:
        """Cancel the tasks that still run and wait for their end.

        Args:
            caller: who wants it; a callback may close its own connection.
        """
        tasks = [task for task in self._tasks if task is not caller]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Listener(Protocol):
    """Something that wants the events of one name."""

    @property
    @abstractmethod
    def wanted(self) -> bool:
        """Whether it still listens."""

    @abstractmethod
    def deliver(self, args: Sequence[object]) -> None:
        """Take an event."""

    @abstractmethod
    def end(self, error: ActorError | None) -> None:
        """There will be no more events, because of ``error`` or by the user's wish."""


class CallbackListener:
    """Calls a function with each event.

    Args:
        callbacks: runs the function.
        function: takes the payload, or nothing.
        decode: makes the payload; None gives the function the arguments as they came.
        once: listen to one event only.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        function: Callable[..., object],
        decode: Decode | None,
        *,
        once: bool = False,
    ) -> None:
        self._callbacks = callbacks
        self._function = function
        self._decode = decode
        self._silent = decode is not None and not _takes_argument(function)
        self._once = once
        self.wanted = True

    def deliver(self, args: Sequence[object]) -> None:
        """Call the function."""
        if self._once:
            self.wanted = False
        if self._decode is None:
            self._callbacks.run(self._function, *args)
        elif self._silent:
            self._callbacks.run(self._function)
        else:
            self._callbacks.run(self._function, self._decode(args))

    def end(self, error: ActorError | None) -> None:
        """Stay: the connection may be started again."""


def _takes_argument(function: Callable[..., object]) -> bool:
    """Whether a callback wants the payload; ``Event[None]`` is listened to without."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        parameter.kind in positional or parameter.kind is Parameter.VAR_POSITIONAL
        for parameter in parameters
    )


class Feed(Generic[T]):
    """What has come for an ``EventStream`` and was not taken yet."""

    def __init__(self) -> None:
        self.payloads: deque[T] = deque()
        self.changed = asyncio.Event()
        self.ended = False
        self.error: ActorError | None = None

    def put(self, payload: T) -> None:
        """Add an event."""
        self.payloads.append(payload)
        self.changed.set()

    def end(self, error: ActorError | None) -> None:
        """Nothing more will come."""
        if not self.ended:
            self.ended, self.error = True, error
            self.changed.set()


class EventStream(Generic[T]):
    """The events of one name as they come: ``async for message in conn.events(...)``.

    It listens from its making on. Events wait in memory until they are taken. The iteration ends
    when the connection is closed and raises when it cannot be restored; a lost socket alone does
    not end it.
    """

    def __init__(self, feed: Feed[T], stop: Callable[[], None]) -> None:
        self._feed = feed
        self._stop = stop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        feed = self._feed
        while not feed.payloads:
            if feed.error is not None:
                raise failures.copy(feed.error)
            if feed.ended:
                raise StopAsyncIteration
            feed.changed.clear()
            await feed.changed.wait()
        return feed.payloads.popleft()

    async def aclose(self) -> None:
        """Stop to listen. Leaving the stream to the garbage collector does the same, later."""
        self._stop()
        self._feed.end(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class StreamListener:
    """Fills a feed for as long as its stream is held by somebody."""

    def __init__(self, feed: Feed[Any], decode: Decode) -> None:
        # Weakly: who breaks out of ``async for`` should not collect events for ever.
        self._feed = weakref.ref(feed)
        self._decode = decode

    @property
    def wanted(self) -> bool:
        """Whether the stream is alive and open."""
        feed = self._feed()
        return feed is not None and not feed.ended

    def deliver(self, args: Sequence[object]) -> None:
        """Queue the payload."""
        feed = self._feed()
        if feed is not None:
            feed.put(self._decode(args))

    def end(self, error: ActorError | None) -> None:
        """End the iteration."""
        feed = self._feed()
        if feed is not None:
            feed.end(error)


class Listeners:
    """All listeners of a connection, by event name.

    Args:
        subscribe: told when a name gets its first listener (True) and loses its last (False).
    """

    def __init__(self, subscribe: Callable[[str, bool], None]) -> None:
        self._subscribe = subscribe
        self._by_name: dict[str, list[Listener]] = {}

    def names(self) -> list[str]:
        """Return the names somebody listens to, oldest first."""
        return list(self._by_name)

    def add(self, name: str, listener: Listener) -> Callable[[], None]:
        """Start to listen; returns the function that stops it, harmless when repeated."""
        listeners = self._by_name.get(name)
        if listeners is None:
            self._by_name[name] = [listener]
            self._subscribe(name, True)
        else:
            listeners.append(listener)
        return lambda: self._remove(name, listener)

    def _remove(self, name: str, listener: Listener) -> None:
        listeners = self._by_name.get(name)
        if listeners is None or listener not in listeners:
            return
        listeners.remove(listener)
        if not listeners:
            del self._by_name[name]
            self._subscribe(name, False)

    def dispatch(self, name: str, args: Sequence[object]) -> None:
        """Give an event to whoever listens."""
        for listener in list(self._by_name.get(name, ())):
            if listener.wanted:
                try:
                    listener.deliver(args)
                except ActorError as error:
                    # Most likely server and client disagree about the event's type.
                    log.error("an event %r was dropped: %s %s", name, error, error.metadata or "")
            if not listener.wanted:
                self._remove(name, listener)

    def end(self, error: ActorError | None) -> None:
        """Tell all that no more events will come."""
        for listener in [item for items in self._by_name.values() for item in items]:
            listener.end(error)
