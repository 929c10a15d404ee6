"""``AwsDoorbells``: has actors woken through a queue, and through schedules beyond its delay.

A ring that is due within 15 minutes is a message that SQS keeps back until then. A later one is a
one-time schedule that sends the same message and is gone; its name says whose it is and when, so
that making it twice makes one. Either may come late, twice or never: the sweeper asks the store.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from math import ceil
from types import TracebackType
from typing import Final, Self, TypeAlias

from rivetless.aws.client import CallError
from rivetless.aws.scheduler import Schedules
from rivetless.aws.sqs import LONGEST_DELAY, Message, Queue
from rivetless.clock import Clock, SystemClock
from rivetless.runtime.ports import Doorbells, Ring, WakeError

__all__ = ["AwsDoorbells", "schedule_name"]

FARTHEST: Final = 5 * 366 * 86400
"""Seconds beyond which nothing is armed: the sweeper will find it when it is due."""

# Whose ring, and the second that it is due; 0 for now.
_Mark: TypeAlias = tuple[str, int]

_REMEMBERED: Final = 4096
_QUEUE_URL: Final = "RIVETLESS_WAKE_QUEUE_URL"
_SCHEDULES: Final = (
    "RIVETLESS_SCHEDULE_GROUP",
    "RIVETLESS_WAKE_QUEUE_ARN",
    "RIVETLESS_SCHEDULE_ROLE_ARN",
)


class AwsDoorbells(Doorbells):
    """Rings by SQS and EventBridge Scheduler. Open it with ``async with``.

    Args:
        queue: a standard queue, whose messages get to ``Wake``. A FIFO queue has no delays.
        schedules: those that lead to the same queue; without any, what is due in more than
            15 minutes is left to the sweeper.
        clock: where the time comes from.
    """

    def __init__(
        self, queue: Queue, schedules: Schedules | None = None, *, clock: Clock | None = None
    ) -> None:
        if queue.url.endswith(".fifo"):
            raise ValueError(f"wakes need a standard queue, and {queue.url} is a FIFO queue")
        self._queue = queue
        self._schedules = schedules
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._sent: OrderedDict[_Mark, None] = OrderedDict()

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, clock: Clock | None = None
    ) -> Self:
        """Return those that the environment of the function names.

        ``RIVETLESS_WAKE_QUEUE_URL`` is needed. ``RIVETLESS_SCHEDULE_GROUP``,
        ``RIVETLESS_WAKE_QUEUE_ARN`` and ``RIVETLESS_SCHEDULE_ROLE_ARN`` go together.

        Raises:
            ValueError: what is needed is missing.
        """
        environ = os.environ if environ is None else environ
        url = environ.get(_QUEUE_URL)
        if not url:
            raise ValueError(
                f"Set {_QUEUE_URL} to the URL of a standard SQS queue that leads to this function: "
                "actors are woken through it."
            )
        found = [environ.get(name) or "" for name in _SCHEDULES]
        missing = [name for name, value in zip(_SCHEDULES, found, strict=True) if not value]
        if missing and any(found):
            raise ValueError(
                f"Set {' and '.join(missing)} too: {', '.join(_SCHEDULES)} go together."
            )
        group, target, role = found
        return cls(
            Queue(url, clock=clock),
            None if missing else Schedules(group, target=target, role=role, clock=clock),
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._queue)
        if self._schedules is not None:
            await self._stack.enter_async_context(self._schedules)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def ring(self, rings: Sequence[Ring]) -> None:
        now = self._clock.now()
        messages: dict[_Mark, Message] = {}
        schedules: dict[_Mark, str] = {}
        for ring in rings:
            wait = 0.0 if ring.at is None else max(ring.at - now, 0.0)
            if wait > FARTHEST:
                continue
            mark: _Mark = (ring.actor_id, ceil(now + wait) if wait else 0)
            # Its message is on its way, unless it is due now: then it may have come already.
            if wait > 1 and mark in self._sent:
                continue
            body = json.dumps(
                {"rivetless": "wake", "actor": ring.actor_id, "hops": ring.hops},
                separators=(",", ":"),
            )
            # Rounded up: what comes too early is done for nothing.
            if ceil(wait) <= LONGEST_DELAY:
                messages[mark] = Message(body, delay=ceil(wait))
            else:
                schedules[mark] = body
        done = await asyncio.gather(
            self._send(messages),
            *(
                self._schedule(self._schedules, mark, body)
                for mark, body in schedules.items()
                if self._schedules is not None
            ),
            return_exceptions=True,
        )
        failed = [error for error in done if isinstance(error, BaseException)]
        for error in failed:
            if not isinstance(error, CallError):
                raise error
        if failed:
            raise WakeError(f"an actor may not be woken: {failed[0]}") from failed[0]

    async def _send(self, messages: Mapping[_Mark, Message]) -> None:
        await self._queue.send_all(list(messages.values()))
        for mark in messages:
            self._remember(mark)

    async def _schedule(self, schedules: Schedules, mark: _Mark, body: str) -> None:
        actor_id, due = mark
        await schedules.create(schedule_name(actor_id, due), due, body)
        self._remember(mark)

    def _remember(self, mark: _Mark) -> None:
        if mark[1]:
            self._sent[mark] = None
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)


def schedule_name(actor_id: str, due: int) -> str:
    """Return the one name of an actor's schedule at a second."""
    return f"rl-{actor_id}-{due}"
