"""Connections: actions and events over one socket that is restored when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeAlias, cast, overload

from typing_extensions import TypeVar

from rivetless.actor.declare import Event
from rivetless.client import failures
from rivetless.client.calls import ByKey, SocketRequest, describe
from rivetless.client.events import (
    CallbackListener,
    Callbacks,
    Decode,
    EventStream,
    Feed,
    Listeners,
    StreamListener,
)
from rivetless.client.handle import Binding, Handle
from rivetless.client.outgoing import Outgoing
from rivetless.client.retry import is_lifecycle, is_stale
from rivetless.client.sockets import Socket, SocketClosed, close_error
from rivetless.clock import Clock, sleep
from rivetless.errors import ActorError
from rivetless.protocol import messages
from rivetless.protocol.codec import Codec

if TYPE_CHECKING:
    from rivetless.client.transports import Transport

__all__ = ["Connection", "Status"]

log = logging.getLogger("rivetless.client")

ActorT_co = TypeVar("ActorT_co", covariant=True, default=Any)
PayloadT = TypeVar("PayloadT")

Status: TypeAlias = Literal["idle", "connecting", "connected", "disconnected"]
Unsubscribe: TypeAlias = Callable[[], None]

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
STABLE: Final = 5.0
"""Seconds after which a connection counts as good: when it is lost, the next try comes at once."""
OPEN_TRIES: Final = 5
"""Tries of a first opening that reaches nobody; about four seconds."""


class Connection(Generic[ActorT_co]):
    """A connection to an actor: ``async with client.connect(room) as conn``.

    Entering it waits until the actor has let it in, or raises why not. From then on it is restored
    whenever it breaks: subscriptions are repeated, calls that were not sent yet are sent, and calls
    whose answer is still out fail with ``client.connection_lost``.

    Listeners registered before the body's first ``await`` miss nothing that the actor sends on
    opening.

    Attributes:
        actor_id: id of the actor, once connected.
        connection_id: id of the connection as the actor sees it; a new one after each reconnect.
    """

    def __init__(
        self,
        binding: Binding,
        params: Callable[[], Awaitable[object]],
        *,
        transport: Transport,
        codec: Codec,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.actor_id: str | None = None
        self.connection_id: str | None = None
        self._binding = binding
        self._params = params
        self._transport = transport
        self._codec = codec
        self._rng = rng
        self._clock = clock
        self._outgoing = Outgoing(codec)
        self._listeners = Listeners(self._outgoing.subscribe)
        self._callbacks = Callbacks()
        self._on_status: list[Callable[[Status], object]] = []
        self._on_open: list[Callable[[], object]] = []
        self._on_close: list[Callable[[], object]] = []
        self._on_error: list[Callable[[ActorError], object]] = []
        self._status: Status = "idle"
        self._closing: asyncio.Task[None] | None = None
        self._failure: ActorError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._socket: Socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._actor = Handle(
            Binding(
                binding.client,
                binding.target,
                binding.definition,
                self._call,
                binding.params,
                binding.idempotency_key,
            )
        )

    # -- what a user does with it ---------------------------------------------------------------

    @property
    def actor(self) -> ActorT_co:
        """The actor; its actions go over this connection."""
        return cast("ActorT_co", self._actor)

    @property
    def status(self) -> Status:
        """``idle`` before and after, ``disconnected`` while it waits for another try."""
        return self._status

    def start(self) -> None:
        """Connect in the background; without effect while it is connected or tries to be.

        Raises:
            ActorError: ``client.closed``.
        """
        if self._closing is not None:
            raise failures.closed("connection")
        if self._task is None or self._task.done():
            self._failure = None
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name=f"rivetless connection to {self._where}"
            )

    async def ready(self) -> None:
        """Wait until it is connected; starts it if need be.

        Raises:
            ActorError: why it cannot be.
        """
        self.start()
        if self._status != "connected":
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    async def close(self) -> None:
        """Close for good; calls that wait for an answer fail. Without effect when repeated."""
        if self._closing is None:
            # A task of its own: a caller who is cancelled meanwhile leaves no socket behind.
            closing = self._close(asyncio.current_task())
            self._closing = asyncio.get_running_loop().create_task(closing)
        await asyncio.shield(self._closing)

    async def _close(self, caller: asyncio.Task[Any] | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end(failures.closed("connection"), None)
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close(1000, "Disposed")
        await self._callbacks.cancel(caller)

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @overload
    def on(
        self, event: Event[PayloadT], callback: Callable[[PayloadT], object], /
    ) -> Unsubscribe: ...
    @overload
    def on(self, event: Event[None], callback: Callable[[], object], /) -> Unsubscribe: ...
    @overload
    def on(self, event: str, callback: Callable[..., object], /) -> Unsubscribe: ...
    def on(self, event: Event[Any] | str, callback: Callable[..., object], /) -> Unsubscribe:
        """Call ``callback`` with every event; it may be a coroutine function.

        Args:
            event: the declaration (``ChatRoom.new_message``), or a name on the wire, whose callback
                then gets the arguments as they came.
            callback: an exception in it is logged.

        Returns:
            A function that stops it.
        """
        return self._listen(event, callback, once=False)

    @overload
    def once(
        self, event: Event[PayloadT], callback: Callable[[PayloadT], object], /
    ) -> Unsubscribe: ...
    @overload
    def once(self, event: Event[None], callback: Callable[[], object], /) -> Unsubscribe: ...
    @overload
    def once(self, event: str, callback: Callable[..., object], /) -> Unsubscribe: ...
    def once(self, event: Event[Any] | str, callback: Callable[..., object], /) -> Unsubscribe:
        """Call ``callback`` with the next event only; else as ``on``."""
        return self._listen(event, callback, once=True)

    @overload
    def events(self, event: Event[PayloadT], /) -> EventStream[PayloadT]: ...
    @overload
    def events(self, event: str, /) -> EventStream[Any]: ...
    def events(self, event: Event[Any] | str, /) -> EventStream[Any]:
        """Iterate over the events from now on: ``async for message in conn.events(...)``.

        By name, an event's only argument is the item, and several are a tuple.
        """
        name, decode = self._find(event)
        feed: Feed[Any] = Feed()
        if self._closing is not None or self._failure is not None:
            feed.end(self._failure)
        listener = StreamListener(feed, decode or _payload)
        return EventStream(feed, self._listeners.add(name, listener))

    def on_status(self, callback: Callable[[Status], object], /) -> Unsubscribe:
        """Call ``callback`` with every new status."""
        return _register(self._on_status, callback)

    def on_open(self, callback: Callable[[], object], /) -> Unsubscribe:
        """Call ``callback`` whenever the connection is established; soon, if it is already."""
        unsubscribe = _register(self._on_open, callback)
        if self._status == "connected":

            def tell() -> None:
                if callback in self._on_open:
                    self._callbacks.run(callback)

            asyncio.get_running_loop().call_soon(tell)
        return unsubscribe

    def on_close(self, callback: Callable[[], object], /) -> Unsubscribe:
        """Call ``callback`` whenever an established connection ends."""
        return _register(self._on_close, callback)

    def on_error(self, callback: Callable[[ActorError], object], /) -> Unsubscribe:
        """Call ``callback`` with every error that concerns the connection as a whole."""
        return _register(self._on_error, callback)

    @property
    def _where(self) -> str:
        return describe(self._binding.target)

    def __repr__(self) -> str:
        return f"<Connection to {self._where}: {self._status}>"

    # -- calls and listeners --------------------------------------------------------------------

    async def _call(self, action: str, args: list[object]) -> object:
        if self._failure is not None:
            raise failures.copy(self._failure)
        self.start()
        return await self._outgoing.call(action, args)

    def _listen(
        self, event: Event[Any] | str, callback: Callable[..., object], *, once: bool
    ) -> Unsubscribe:
        name, decode = self._find(event)
        listener = CallbackListener(self._callbacks, callback, decode, once=once)
        return self._listeners.add(name, listener)

    def _find(self, event: Event[Any] | str) -> tuple[str, Decode | None]:
        """Return an event's wire name, and what makes its payload where the event is declared."""
        definition = self._binding.definition
        if isinstance(event, str):
            known = None if definition is None else definition.find_event(event)
            return (event if known is None else known.name), None
        if definition is not None and definition.find_event(event.name) is None:
            raise ValueError(f"{definition.python_name} has no event `{event.python_name}`.")
        return event.name, event.decode

    # -- the life of it -------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except Exception as error:
            log.exception("the connection to %s failed", self._where)
            failure = ActorError("client", "connection_open_failed", f"Unexpected error: {error}")
            failure.__cause__ = error
            self._end(failure, failure)

    async def _keep_connected(self) -> None:
        opened = False  # ever
        failures_in_a_row = 0
        drops = 0
        while True:
            if failures_in_a_row:
                self._set_status("disconnected" if opened else "connecting")
                await sleep(self._clock, _pause(failures_in_a_row, self._rng))
            self._set_status("connecting")
            try:
                init = await self._open()
            except ActorError as error:
                failures_in_a_row += 1
                if not self._is_worth_another_try(error, opened, failures_in_a_row):
                    self._end(error, error)
                    return
                log.info("no connection to %s yet: %s", self._where, error)
                continue
            opened, since = True, self._clock.now()
            closed = await self._serve(init)
            self._lost(closed)
            # At once, except when it keeps breaking right after it was made.
            drops = 0 if self._clock.now() - since >= STABLE else drops + 1
            failures_in_a_row = max(drops - 1, 0)

    def _is_worth_another_try(self, error: ActorError, opened: bool, tries: int) -> bool:
        target = self._binding.target
        if is_lifecycle(error) and error.group != "client":
            return True
        if error.name in ("actor.stopped", "ws.going_away"):
            return True
        # A missing actor may be made any moment, and a server may be about to start. Who waits for
        # a first connection wants to hear of it nevertheless; who had one waits on.
        if isinstance(target, ByKey) and is_stale(error):
            return opened or target.create or tries < OPEN_TRIES
        if error.name in ("client.connection_failed", "client.get_params_failed"):
            return opened or tries < OPEN_TRIES
        return False

    async def _open(self) -> messages.Init:
        try:
            params = await self._params()
        except ActorError as error:
            if error.name == "client.get_params_failed":
                self._outgoing.abandon(error)
                self._report(error)
            raise
        request = SocketRequest(self._binding.target, "/connect", params)
        socket = await self._transport.open_socket(request)
        try:
            init = await self._greet(socket)
        except BaseException:
            await socket.close(1000, "Disposed")
            raise
        self._socket = socket
        return init

    async def _greet(self, socket: Socket) -> messages.Init:
        """Wait until the actor lets the connection in."""
        while True:
            try:
                frame = await socket.receive()
            except SocketClosed as closed:
                raise close_error(closed) or _not_opened(self._where, closed) from closed
            match self._codec.decode_to_client(frame).message:
                case messages.Init() as init:
                    return init
                case messages.ErrorFrame(action_id=None) as refusal:
                    raise refusal.to_error()
                case _:
                    log.warning("a frame came before the first one of the protocol; dropped")

    async def _serve(self, init: messages.Init) -> SocketClosed:
        """Exchange frames until the socket closes; returns how."""
        socket = self._socket
        assert socket is not None
        self._welcome(init)
        self._set_status("connected")
        self._outgoing.start(self._listeners.names())
        writer = asyncio.get_running_loop().create_task(self._write(socket))
        try:
            # Whoever waits in ``async with`` now runs up to their next await: see the class's
            # docstring.
            await asyncio.sleep(0)
            while True:
                self._take(await socket.receive())
        except SocketClosed as closed:
            return closed
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, socket: Socket) -> None:
        try:
            while True:
                await socket.send(await self._outgoing.take())
        except SocketClosed:
            return  # the reader hears of it too, and what was taken counts as sent

    def _take(self, frame: str | bytes) -> None:
        try:
            message = self._codec.decode_to_client(frame).message
        except ActorError as error:
            log.error("a frame from %s was dropped: %s", self._where, error)
            return
        match message:
            case messages.Event(name, args):
                self._listeners.dispatch(name, args)
            case messages.ActionResponse(number, output):
                self._outgoing.answer(number, output)
            case messages.ErrorFrame(action_id=number) if number is not None:
                self._outgoing.reject(number, message.to_error())
            case messages.ErrorFrame():
                stated = message.to_error()
                self._outgoing.fail_sent(stated)
                self._report(stated)
            case messages.Init():
                self._welcome(message)

    def _welcome(self, init: messages.Init) -> None:
        self.actor_id, self.connection_id = init.actor_id, init.connection_id

    def _lost(self, closed: SocketClosed) -> None:
        self._socket = None
        stated = close_error(closed)
        self._outgoing.stop(stated or failures.connection_lost(closed))
        self._set_status("disconnected")
        if stated is not None:
            self._report(stated)

    def _end(self, error: ActorError, reported: ActorError | None) -> None:
        """Be idle: fail what waits and end the streams."""
        self._failure = reported
        self._outgoing.stop(error)
        self._outgoing.abandon(error)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(failures.copy(error))
        self._waiters.clear()
        self._set_status("idle")
        if reported is not None:
            self._report(reported)
        self._listeners.end(reported)

    def _set_status(self, status: Status) -> None:
        before, self._status = self._status, status
        if status == before:
            return
        for callback in list(self._on_status):
            self._callbacks.run(callback, status)
        if status == "connected":
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            for opened in list(self._on_open):
                self._callbacks.run(opened)
        elif before == "connected":
            for closed in list(self._on_close):
                self._callbacks.run(closed)

    def _report(self, error: ActorError) -> None:
        for callback in list(self._on_error):
            self._callbacks.run(callback, error)


def _register(callbacks: list[Any], callback: Any) -> Unsubscribe:
    callbacks.append(callback)

    def unsubscribe() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return unsubscribe


def _payload(args: Any) -> Any:
    """Return the payload of an event that is known by name only."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None


def _not_opened(where: str, closed: SocketClosed) -> ActorError:
    # 1000 is a refusal without a reason; other codes are left by proxies and dying servers.
    if closed.code == 1000:
        return failures.open_failed(closed)
    return failures.connection_failed(where, closed)


def _pause(failures_in_a_row: int, rng: random.Random) -> float:
    pause = min(FIRST_PAUSE * 2.0 ** min(failures_in_a_row - 1, 10), LONGEST_PAUSE)
    # A little chance, so that the clients of a server that comes back do not all come at once.
    return pause * rng.uniform(0.8, 1.0)
