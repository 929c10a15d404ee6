"""``Invocation``: one call of the handler, with the time it has and the way to the actors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless.clock import Timeout
from rivetless.errors import invalid_request, make
from rivetless.runtime.commands import (
    CallAction,
    Command,
    ConnectionAction,
    OpenConnection,
    RawRequest,
    SendMessage,
    Sweep,
    Wake,
)

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.hosts.aws_lambda.events import LambdaContext
    from rivetless.hosts.aws_lambda.messages import MessageHandler
    from rivetless.hosts.aws_lambda.metrics import Measures
    from rivetless.hosts.aws_lambda.process import LambdaProcess
    from rivetless.hosts.aws_lambda.settings import Settings
    from rivetless.runtime.runtime import Runtime

__all__ = ["MARGIN", "Invocation", "InvocationDispatcher"]

MARGIN: Final = 1.0
"""Seconds kept back, at most, for what follows a command: its effects, the answer, the logs."""

_SHARE: Final = 5
"""Of a short invocation a fifth is kept back, so that a function with three seconds works too."""


class Invocation:
    """What an event is handled with.

    Args:
        process: the actors, and what the environment keeps between invocations.
        context: as Lambda passes it.
        messages: what handles our own messages, by their name.
        measures: where durations are noted.

    Attributes:
        process: as given.
        request_id: Lambda's id of the invocation.
        deadline: Unix seconds until which a command may go on.
        end: Unix seconds until which what a command left may be waited for.
        longest: seconds that one command may take, if it comes alone.
        measures: as given.
    """

    __slots__ = ("_messages", "deadline", "end", "longest", "measures", "process", "request_id")

    def __init__(
        self,
        process: LambdaProcess,
        context: LambdaContext,
        messages: Mapping[str, MessageHandler],
        measures: Measures,
    ) -> None:
        self.process = process
        self.request_id = str(context.aws_request_id)
        self.measures = measures
        self._messages = messages
        left = max(context.get_remaining_time_in_millis(), 0) / 1000
        margin = min(MARGIN, left / _SHARE)
        self.longest = left - margin
        self.deadline = process.clock.now() + self.longest
        self.end = self.deadline + margin / 2

    def limit(self, seconds: float) -> None:
        """End within so many seconds: whoever waits for the answer waits no longer than that."""
        deadline = self.clock.now() + seconds - MARGIN
        if deadline < self.deadline:
            self.deadline, self.end = deadline, deadline + MARGIN / 2

    @property
    def clock(self) -> Clock:
        """What tells the time."""
        return self.process.clock

    @property
    def settings(self) -> Settings:
        """What the function's environment says."""
        return self.process.settings

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - self.clock.now()

    async def runtime(self) -> Runtime:
        """Return the runtime, which the first event of an environment starts.

        Raises:
            ActorError: ``guard.service_unavailable``: there is no store, or it cannot be opened.
        """
        return await self.process.open()

    async def dispatch(self, command: Command) -> Any:
        """Run a command, for as long as the invocation allows, and return its answer.

        Raises:
            ActorError: as the runtime's; ``guard.request_timeout`` when the time is over before it
                begins, ``actor.outcome_unknown`` when it is over later.
            Exception: whatever a handler raised.
        """
        runtime = await self.runtime()
        began = self.clock.now()
        if began >= self.deadline:
            raise make("guard.request_timeout")
        timeout = Timeout(self.clock, self.left)
        try:
            async with timeout:
                return await cast("Any", runtime).dispatch(self._in_time(command))
        except TimeoutError as error:
            if not timeout.expired:
                raise
            raise make("actor.outcome_unknown") from error
        finally:
            self.measures.turn(self.clock.now() - began)

    def _in_time(self, command: Command) -> Command:
        """Say until when a command may go on, as far as it can be told."""
        if isinstance(command, Wake):
            deadline = self._earlier(command.deadline)
            return replace(command, deadline=deadline, longest=self.longest)
        if isinstance(command, Sweep):
            return replace(command, deadline=self._earlier(command.deadline))
        if isinstance(
            command, CallAction | ConnectionAction | OpenConnection | RawRequest | SendMessage
        ):
            origin = command.origin
            return replace(command, origin=replace(origin, deadline=self._earlier(origin.deadline)))
        return command

    def _earlier(self, deadline: float | None) -> float:
        return self.deadline if deadline is None else min(deadline, self.deadline)

    async def deliver(self, message: Mapping[str, Any]) -> object:
        """Handle one of our own messages, wherever it came from, and return its answer.

        Raises:
            ActorError: it is malformed, or what it asks for was refused.
            Exception: whatever a handler raised.
        """
        name = message.get("rivetless")
        handler = self._messages.get(name) if isinstance(name, str) else None
        if handler is None:
            known = ", ".join(self._messages)
            raise invalid_request(
                f"There is no message {str(name)[:64]!r}; `rivetless` is one of: {known}."
            )
        return await handler(message, self)


class InvocationDispatcher:
    """Passes commands on to the invocation that is under way. There is one at a time."""

    invocation: Invocation

    async def dispatch(self, command: Any) -> Any:
        """Run a command for as long as the invocation allows."""
        return await self.invocation.dispatch(command)

    async def find(self, actor_id: str, /) -> Any:
        """Look a life up by id."""
        return await (await self.invocation.runtime()).find(actor_id)
