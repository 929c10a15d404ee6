"""What an awaitable waits for, made visible to whoever awaits it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def each_wait(
    work: Generator[Any, Any, T], before: Callable[[object], Iterable[Any]]
) -> Generator[Any, Any, T]:
    """Go through what is awaited, and before each wait through what ``before`` says."""
    try:
        waited = next(work)
        while True:
            try:
                yield from before(waited)
                sent = yield waited
            except BaseException as error:
                waited = work.throw(error)
            else:
                waited = work.send(sent)
    except StopIteration as stop:
        result: T = stop.value
        return result
