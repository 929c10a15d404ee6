"""Our own messages: JSON objects with the key ``rivetless``, and what each of them does.

They come as bodies of SQS messages, as the constant input of a rule, as the payload of a schedule
and in direct invocations, and mean the same everywhere. A message handler is an async function of
the message and the invocation; what it returns is a direct invocation's answer. It raises
``ActorError`` for a message it cannot read: a queue then keeps the message until it has failed
often enough for the dead-letter queue, and nothing is retried for ever.

``handler.MESSAGES`` is the list of them; a further kind is one function and one entry there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from rivetless.errors import invalid_request
from rivetless.hosts.aws_lambda.events import error_answer
from rivetless.keys import split_actor_id
from rivetless.runtime.commands import Sweep, Wake

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation

__all__ = ["MessageHandler", "OwnMessage", "sweep", "text_of", "wake"]

MessageHandler: TypeAlias = "Callable[[Mapping[str, Any], Invocation], Awaitable[object]]"


class OwnMessage:
    """An event that is one of our messages as it is: direct invocations, rules, schedules.

    Args:
        message: the event.
    """

    __slots__ = ("_message",)

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._message = message

    @property
    def kind(self) -> str:
        """The message's name, as far as it is one."""
        name = self._message["rivetless"]
        return name if isinstance(name, str) and name.isalpha() and len(name) <= 16 else "direct"

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        """Know an event by the key ``rivetless``, and a rule's own event by what it is."""
        if "rivetless" in event:
            return cls(event)
        if event.get("source") == "aws.events" and event.get("detail-type") == "Scheduled Event":
            # A rule by the minute that was given no input of its own.
            return cls({"rivetless": "sweep"})
        return None

    async def handle(self, invocation: Invocation) -> object:
        """Answer with the message's answer, or with an error object."""
        try:
            return await invocation.deliver(self._message)
        except Exception as error:
            invocation.process.note(error, "the message %r failed", self.kind)
            return error_answer(error, expose=invocation.settings.expose_errors)


async def wake(message: Mapping[str, Any], invocation: Invocation) -> None:
    """``{"rivetless": "wake", "actor": ID, "hops": N}``: do what is due for an actor."""
    actor_id = text_of(message, "actor")
    split_actor_id(actor_id)
    hops = message.get("hops", 0)
    if not isinstance(hops, int) or isinstance(hops, bool) or hops < 0:
        raise invalid_request("`hops` of a wake is a whole number from 0.")
    await invocation.dispatch(Wake(actor_id, hops=hops))


async def sweep(message: Mapping[str, Any], invocation: Invocation) -> None:
    """``{"rivetless": "sweep"}``: one pass over what died processes have left."""
    await invocation.dispatch(Sweep())


def text_of(message: Mapping[str, Any], name: str) -> str:
    """Return a field of a message that must be text.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise invalid_request(f"`{name}` of the message {message['rivetless']!r} is missing.")
    return value
