"""What a function can be invoked with: the seam for event sources.

An event source is a class with the three members of ``LambdaEvent`` and no base class. ``match``
parses: it returns the typed event if positive facts say that it is one of its own (``eventType``,
``eventSource``, our own ``rivetless`` key), else ``None``; it never guesses from what is absent and
never raises. ``handle`` does the work with the ``Invocation`` and returns what Lambda is to answer.
Whatever goes wrong in there becomes an answer of the source's own kind (a status, a list of failed
messages, an error object): an exception would have AWS invoke the function with the same event
again and again.

The host asks the user's own classes first, then those of ``handler.SOURCES``, in order.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from rivetless.errors import ActorError, public_error
from rivetless.protocol.codec import JSON
from rivetless.protocol.messages import HttpError

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation

__all__ = ["LambdaContext", "LambdaEvent", "error_answer", "find_event", "unknown_event"]

_MOST_KEYS: Final = 20
_LONGEST_KEY: Final = 64


class LambdaContext(Protocol):
    """What is used of the context that Lambda passes."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's id."""
        ...

    @property
    def function_name(self) -> str:
        """The function's name."""
        ...

    @abstractmethod
    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""


class LambdaEvent(Protocol):
    """One kind of event."""

    @property
    def kind(self) -> str:
        """A word for logs and metrics: ``http``, ``queue``, …"""
        ...

    @classmethod
    @abstractmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        """Return the event if it is of this kind."""

    @abstractmethod
    async def handle(self, invocation: Invocation) -> object:
        """Do what it asks for and return the answer, which must have a form in JSON."""


def find_event(event: object, sources: Iterable[type[LambdaEvent]]) -> LambdaEvent | None:
    """Return the typed event of the first source that knows it; ``None`` if none does."""
    if not isinstance(event, Mapping):
        return None
    found = cast("Mapping[str, Any]", event)
    for source in sources:
        typed = source.match(found)
        if typed is not None:
            return typed
    return None


def error_answer(error: Exception, *, expose: bool = False) -> dict[str, object]:
    """Return the answer that says what went wrong, masked where it must be."""
    body = JSON.encode(HttpError.of(public_error(error, expose=expose)))
    return {"error": json.loads(body)}


def _keys_of(event: object) -> str:
    """Describe an event nobody knows by its keys; its values may be secret."""
    if not isinstance(event, Mapping):
        return f"it is no object but {type(event).__name__}"
    keys = sorted(str(key)[:_LONGEST_KEY] for key in cast("Mapping[object, object]", event))
    shown = ", ".join(keys[:_MOST_KEYS]) or "none"
    more = len(keys) - _MOST_KEYS
    return f"its top-level keys are: {shown}" + (f" and {more} more" if more > 0 else "")


def unknown_event(event: object) -> ActorError:
    """Make the error for an event of no known kind."""
    return ActorError(
        "request",
        "invalid",
        f"No event source of this function knows this event; {_keys_of(event)}.",
    )
