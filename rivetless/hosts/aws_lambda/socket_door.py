"""``SocketDoor``: the way in from a WebSocket API, through queues, and the way out to its sockets.

Loaded by the first event that needs it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from rivetless.aws.management import Management
from rivetless.aws.sqs import Message, Queue
from rivetless.clock import Clock
from rivetless.errors import make
from rivetless.hosts.aws_lambda.invocation import InvocationDispatcher
from rivetless.hosts.aws_lambda.pushes import ApiGatewayPusher, Posts
from rivetless.hosts.aws_lambda.sockets import NAMESPACE, Routes, SocketKeeper
from rivetless.hosts.aws_lambda.websocket import Frame, SocketMessage, write_message
from rivetless.hosts.aws_lambda.worker import SocketWorker, WorkerOptions

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation
    from rivetless.hosts.aws_lambda.settings import Settings
    from rivetless.registry import Registry
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Store

__all__ = ["SocketDoor"]

_log = logging.getLogger("rivetless.hosts")

_PATIENCE: Final = 2.0
"""Seconds for which a post is repeated to a client that reads too slowly; others wait for it."""


class SocketDoor:
    """What an environment has of the WebSocket API: the way in, through queues, and the way out.

    Args:
        registry: the actors.
        settings: what the environment says.
        clock: all time comes from it.
        stack: closes what was opened.
        origins: pages that may open sockets; None lets all.
        keep_alive: whether idle connections are kept alive.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        *,
        clock: Clock,
        stack: AsyncExitStack,
        origins: Iterable[str] | None = None,
        keep_alive: bool = False,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._stack = stack
        self._origins = origins
        self._keep_alive = keep_alive
        self._queue: Queue | None = None
        self._management: Management | None = None
        self._routes: Routes | None = None
        self._posts: Posts | None = None
        self._worker: SocketWorker | None = None
        self._invocation: Invocation | None = None
        self._dispatcher = InvocationDispatcher()

    @property
    def ordered(self) -> bool:
        """Whether a connection's messages come in order."""
        return self._settings.frames_queue_url is not None

    # -- the way in -------------------------------------------------------------------------------

    async def enqueue(self, message: SocketMessage, *, delay: float = 0.0) -> None:
        """Put a message into the queue that leads to the worker.

        Raises:
            CallError: it may not be there.
            ActorError: ``guard.service_unavailable``: there is no queue.
        """
        queue = await self._open_queue()
        body = json.dumps(write_message(message))
        if not self.ordered:
            await queue.send(Message(body, delay=round(delay)))
            return
        # What API Gateway tells twice is one message; a connection's follow one another.
        what = message.frame_id if isinstance(message, Frame) else type(message).__name__
        await queue.send(
            Message(
                body,
                group=message.conn_id,
                deduplication=f"{message.conn_id}:{what}",
            )
        )

    async def _open_queue(self) -> Queue:
        if self._queue is None:
            url = self._settings.frames_queue_url or self._settings.wake_queue_url
            if url is None:
                _log.error("No queue for sockets. Set RIVETLESS_FRAMES_QUEUE_URL.")
                raise make("guard.service_unavailable")
            queue = Queue(url, clock=self._clock)
            self._queue = await self._stack.enter_async_context(queue)
        return self._queue

    async def _put_off(self, message: SocketMessage, delay: float) -> None:
        await self.enqueue(message, delay=delay)

    # -- the way out ------------------------------------------------------------------------------

    async def open(self, store: Store) -> ApiGatewayPusher:
        """Make what reaches the connections; returns the pusher for the runtime."""
        if self._management is None:
            management = Management(
                self._settings.sockets_endpoint, clock=self._clock, patience=_PATIENCE
            )
            self._management = await self._stack.enter_async_context(management)
        self._routes = Routes(store, self._clock)
        self._posts = Posts(self._management, self._routes, self._clock)
        if self._invocation is not None:
            self._posts.deadline = self._invocation.deadline
        limit = self._registry.options.max_outgoing_message_size
        return ApiGatewayPusher(self._posts, max_outgoing=limit)

    def serve(self, runtime: Runtime) -> None:
        """Work messages with this runtime from now on, and look after its connections."""
        if self._routes is None or self._posts is None:
            return
        dispatcher: Any = self._dispatcher
        keeper = SocketKeeper(
            self._routes,
            self._posts,
            dispatcher,
            runtime.doorbells,
            self._clock,
            keep_alive=self._keep_alive,
        )
        runtime.keepers[NAMESPACE] = keeper
        options = self._registry.options
        self._worker = SocketWorker(
            self._registry,
            dispatcher,
            routes=self._routes,
            posts=self._posts,
            keeper=keeper,
            later=self._put_off,
            clock=self._clock,
            options=WorkerOptions(
                ordered=self.ordered,
                origins=self._origins,
                max_incoming=options.max_incoming_message_size,
                max_outgoing=options.max_outgoing_message_size,
                expose=self._settings.expose_errors,
            ),
        )

    def begin(self, invocation: Invocation) -> None:
        """Begin an invocation: it has its own time, and a way to the actors."""
        self._invocation = self._dispatcher.invocation = invocation
        if self._posts is not None:
            self._posts.deadline = invocation.deadline

    async def work(self, message: SocketMessage, invocation: Invocation) -> None:
        """Work a message.

        Raises:
            Exception: it must be delivered again.
        """
        await invocation.runtime()
        if self._worker is None:
            _log.error("The connections cannot be reached. Set RIVETLESS_SOCKETS_ENDPOINT.")
            raise make("guard.service_unavailable")
        await self._worker.work(message, deadline=invocation.deadline)
