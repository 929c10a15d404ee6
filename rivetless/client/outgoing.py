"""What a connection has to say: calls and subscriptions on their way, calls without an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import count

from rivetless.client import failures
from rivetless.errors import ActorError
from rivetless.protocol.codec import Codec
from rivetless.protocol.messages import ActionRequest, SubscriptionRequest

__all__ = ["Outgoing"]


class Outgoing:
    """Frames in the order in which they are sent, kept while there is no socket.

    Args:
        codec: writes the frames.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._ids = count()  # they go on when the socket is replaced
        self._queue: deque[tuple[int | None, str | bytes]] = deque()
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._sent: set[int] = set()
        self._filled = asyncio.Event()
        self._live = False

    async def call(self, action: str, args: list[object]) -> object:
        """Call an action and wait for its plain output.

        Raises:
            ActorError: as answered, or why there will be no answer.
            TypeError: an argument has no form on the wire.
        """
        number = next(self._ids)
        frame = self._codec.frame(ActionRequest(number, action, args))
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._put(number, frame)
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)
            self._sent.discard(number)

    def subscribe(self, event: str, wanted: bool) -> None:
        """Start or stop to listen. Without a socket nothing is kept: ``start`` says it all anew."""
        if self._live:
            self._put(None, self._codec.frame(SubscriptionRequest(event, wanted)))

    def start(self, events: Iterable[str]) -> None:
        """There is a new socket: subscriptions go first, then what has waited."""
        frames = [self._codec.frame(SubscriptionRequest(event, True)) for event in events]
        self._queue.extendleft((None, frame) for frame in reversed(frames))
        self._live = True
        if self._queue:
            self._filled.set()

    def stop(self, error: ActorError) -> None:
        """The socket is gone: calls that were sent fail, the others wait for the next one."""
        self._live = False
        self._queue = deque(item for item in self._queue if item[0] is not None)
        sent, self._sent = self._sent, set()
        for number in sent:
            self.reject(number, error)

    def abandon(self, error: ActorError) -> None:
        """Fail every call, sent or not."""
        self._queue.clear()
        self._sent.clear()
        for number in list(self._waiting):
            self.reject(number, error)

    def fail_sent(self, error: ActorError) -> None:
        """Fail the calls that were sent; the socket stays."""
        for number in list(self._sent):
            self.reject(number, error)

    def answer(self, number: int, output: object) -> bool:
        """Hand a call its output; False if nobody waits for it."""
        answer = self._waiting.pop(number, None)
        self._sent.discard(number)
        if answer is None or answer.done():
            return False
        answer.set_result(output)
        return True

    def reject(self, number: int, error: ActorError) -> bool:
        """Fail a call; False if nobody waits for it."""
        answer = self._waiting.pop(number, None)
        self._sent.discard(number)
        if answer is None or answer.done():
            return False
        # Each caller gets an instance of its own, or their tracebacks would pile up on one.
        answer.set_exception(failures.copy(error))
        return True

    async def take(self) -> str | bytes:
        """Wait for the next frame to send."""
        while True:
            while self._queue:
                number, frame = self._queue.popleft()
                if number is None:
                    return frame
                if number in self._waiting:  # else its caller has given up
                    self._sent.add(number)
                    return frame
            self._filled.clear()
            await self._filled.wait()

    def _put(self, number: int | None, frame: str | bytes) -> None:
        self._queue.append((number, frame))
        self._filled.set()
