"""A thread that works for an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Final, TypeVar

T = TypeVar("T")

_Task = tuple[asyncio.AbstractEventLoop, Callable[[], Callable[[], None]]]


class Worker:
    """One thread that does what an event loop asks of it, one thing after the other.

    Quicker than an executor: one queue, one call back. The thread begins with the first task, and
    does not keep a process alive.
    """

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def used(self) -> bool:
        """Whether it was asked for anything yet."""
        return self._thread is not None

    def submit(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Call ``work`` in the thread, and then ``done`` with its result in the event loop.

        ``work`` must not raise.
        """
        self._start((asyncio.get_running_loop(), lambda: partial(done, work())))

    async def call(self, work: Callable[[], T]) -> T:
        """Call ``work`` in the thread and return its result, or raise what it raised.

        Whoever is cancelled stops waiting; the work is done nevertheless.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def task() -> Callable[[], None]:
            try:
                result = work()
            except BaseException as error:
                return partial(_fail, answer, error)
            return partial(_answer, answer, result)

        self._start((loop, task))
        return await answer

    def stop(self) -> None:
        """Let the thread end when it has done what it was asked before."""
        self._tasks.put(None)

    def _start(self, task: _Task) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._tasks.put(task)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            loop, work = task
            done = work()
            try:
                loop.call_soon_threadsafe(done)
            except RuntimeError:
                # The loop was closed without waiting for us: there is nobody left to tell.
                continue


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
