"""``aws_lambda``: the handler of a Lambda function, for every kind of event.

Seams for those who add to it, all in this module:

``SOURCES``
    The kinds of events, in the order in which they are asked. A further one is a class as
    ``events.LambdaEvent`` describes, and an entry here.
``MESSAGES``
    Our own messages by name, with the functions that handle them (``messages``). They arrive by
    SQS, rules, schedules and direct invocations alike.
``LambdaProcess``
    What is kept between invocations; makes ``Pusher`` and ``Doorbells`` from the settings.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rivetless.clock import Clock, SystemClock
from rivetless.hosts.aws_lambda import logs
from rivetless.hosts.aws_lambda.batches import QueueBatch, StreamBatch
from rivetless.hosts.aws_lambda.calls import call
from rivetless.hosts.aws_lambda.events import (
    LambdaContext,
    LambdaEvent,
    error_answer,
    find_event,
    unknown_event,
)
from rivetless.hosts.aws_lambda.http import HttpEvent
from rivetless.hosts.aws_lambda.invocation import Invocation
from rivetless.hosts.aws_lambda.messages import MessageHandler, OwnMessage, sweep, wake
from rivetless.hosts.aws_lambda.metrics import Measures
from rivetless.hosts.aws_lambda.process import LambdaProcess
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.hosts.aws_lambda.socket_events import SocketEvent, socket_message
from rivetless.hosts.secrets import find_secret

if TYPE_CHECKING:
    from rivetless.gateway.limits import Limits
    from rivetless.registry import Registry
    from rivetless.store.base import Store

__all__ = ["MESSAGES", "SOURCES", "LambdaHost", "aws_lambda"]

SOURCES: Final[tuple[type[LambdaEvent], ...]] = (
    OwnMessage,
    QueueBatch,
    StreamBatch,
    HttpEvent,
    SocketEvent,
)
"""The kinds of events, in the order in which they are asked; users' own come before them."""

MESSAGES: Final[Mapping[str, MessageHandler]] = {
    "wake": wake,
    "sweep": sweep,
    "call": call,
    "connect": socket_message,
    "frame": socket_message,
    "disconnect": socket_message,
}
"""Our own messages, by the value of their key ``rivetless``."""

_log = logging.getLogger("rivetless.hosts")


class LambdaHost:
    """The handler. ``aws_lambda`` makes it; Lambda calls it, one event at a time.

    It runs everything on one event loop, which it makes when it is first called and keeps: between
    two invocations it stands still, and the connections to AWS's services stay open.

    Args:
        process: what is kept between invocations.
        sources: kinds of events.
        messages: handlers of our own messages.
        metrics: writes one line of metrics; ``None`` writes none.
    """

    def __init__(
        self,
        process: LambdaProcess,
        *,
        sources: Sequence[type[LambdaEvent]] = SOURCES,
        messages: Mapping[str, MessageHandler] = MESSAGES,
        metrics: Callable[[str], None] | None = None,
    ) -> None:
        self._process = process
        self._sources = tuple(sources)
        self._messages = messages
        self._metrics = metrics
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, event: object, context: LambdaContext) -> object:
        """Handle one event. It raises nothing that the event could be blamed for."""
        cold = self._loop is None
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(self._handle(event, context, cold))

    def close(self) -> None:
        """End everything; for tests and for local use. Lambda's environments just stop."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run_until_complete(self._process.close())
            loop.close()

    async def _handle(self, event: object, context: LambdaContext, cold: bool) -> object:
        process, measures = self._process, Measures()
        began = process.clock.now()
        invocation = Invocation(process, context, self._messages, measures)
        process.begin(invocation)
        typed = find_event(event, self._sources)
        kind = "unknown" if typed is None else typed.kind
        with logs.tracing(logs.Trace(invocation.request_id, logs.trace_of(event))):
            # One turn of the loop: connections that were closed while the environment was frozen
            # are noticed before anything is sent on them.
            await asyncio.sleep(0)
            before = process.counts()
            try:
                return await self._answer(event, typed, invocation)
            finally:
                await process.settle(invocation.end)
                measures.count("Invocations")
                measures.count("ColdStarts", cold)
                measures.count("Duration", (process.clock.now() - began) * 1000)
                for name, count in process.counts().items():
                    measures.count(name, count - before.get(name, 0))
                self._write(measures, context, kind, invocation)

    async def _answer(
        self, event: object, typed: LambdaEvent | None, invocation: Invocation
    ) -> object:
        try:
            if typed is None:
                raise unknown_event(event)
            return await typed.handle(invocation)
        except Exception as error:
            invocation.measures.count("Failures")
            self._process.note(error, "an event was not handled")
            return error_answer(error, expose=self._process.settings.expose_errors)

    def _write(
        self, measures: Measures, context: LambdaContext, kind: str, invocation: Invocation
    ) -> None:
        if self._metrics is not None:
            self._metrics(
                measures.line(
                    function=str(context.function_name),
                    kind=kind,
                    request_id=invocation.request_id,
                    now=self._process.clock.now(),
                )
            )


def aws_lambda(
    registry: Registry,
    *,
    store: Store | str | None = None,
    events: Sequence[type[LambdaEvent]] = (),
    limits: Limits | None = None,
    origins: Iterable[str] | None = None,
    root_path: str = "",
    keep_alive: bool = False,
    settings: Settings | None = None,
    json_logs: bool = True,
    metrics: bool = True,
    clock: Clock | None = None,
) -> LambdaHost:
    """Make the handler of a Lambda function that serves the actors of a registry.

    Nothing is opened before the first event.

    Args:
        registry: the actors.
        store: a store, or its URL; else ``RIVETLESS_STORE``.
        events: the application's own kinds of events, asked before ours.
        limits: how much HTTP clients may send, and how often. By default as much as Lambda takes,
            and as often as what is in front of the function lets them.
        origins: pages that may use the function, e.g. ``https://app.example.com``; None lets all.
        root_path: path under which a custom domain leads here, e.g. ``/v1``.
        keep_alive: keep WebSockets alive of which nothing was heard for nine minutes, by an event
            that clients ignore. API Gateway ends idle ones after ten.
        settings: what the environment would say.
        json_logs: write logs as JSON; False leaves them as they are set up.
        metrics: write a line of metrics for each invocation.
        clock: all time comes from it.

    Raises:
        ValueError: ``RIVETLESS_SECRET`` is too short to be a secret.
    """
    settings = settings or Settings.read()
    if json_logs:
        logs.configure(settings.log_level)
    if settings.secret is not None:
        find_secret(settings.secret, None)  # one that is too short is told when it is deployed
    # What was imported stays; the collector need not look at it again and again.
    gc.freeze()
    process = LambdaProcess(
        registry,
        settings,
        clock=clock or SystemClock(),
        store=store,
        limits=limits,
        origins=origins,
        root_path=root_path.rstrip("/"),
        keep_alive=keep_alive,
    )
    return LambdaHost(process, sources=(*events, *SOURCES), metrics=_print if metrics else None)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
