"""Dead letters, as a client sees them from outside of their actor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from rivetless.actor.dead_letters import MOST_LISTED, DeadLetter
from rivetless.client import failures
from rivetless.client.calls import LetterQuery, LetterReplay, LettersPurge
from rivetless.client.transports import Transport
from rivetless.protocol.targets import Target
from rivetless.protocol.values import untag

__all__ = ["LetterBox", "read_count", "read_letters"]

T = TypeVar("T")


class Retrying(Protocol):
    """Makes a call, again where the rules say so."""

    def __call__(
        self, attempt: Callable[[], Awaitable[T]], target: Target | None, *, once: bool = False
    ) -> Awaitable[T]: ...


class LetterBox:
    """The dead letters of one actor: what ``Client.dead_letters`` returns.

    An actor's own code has the same in ``self.dead_letters``. Nothing here creates the actor.
    """

    __slots__ = ("_retrying", "_target", "_transport")

    def __init__(self, target: Target, transport: Transport, retrying: Retrying) -> None:
        self._target = target
        self._transport = transport
        self._retrying = retrying

    async def list(self, *, limit: int = 100, kind: str | None = None) -> list[DeadLetter]:
        """Return letters, newest first.

        Args:
            limit: how many at most, from 1 to 1000.
            kind: only those of one kind: ``"schedule"``, ``"message"``, ``"send"``.

        Raises:
            ActorError: ``actor.not_found``; ``auth.forbidden`` for who is no administrator.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise ValueError(f"`limit` is {limit}; it is from 1 to {MOST_LISTED}.")
        query = LetterQuery(self._target, limit, kind)
        return await self._retrying(lambda: self._transport.letters(query), None)

    async def replay(self, letter_id: str) -> bool:
        """Put a letter back to be tried anew, at once; say whether there was one.

        Raises:
            ActorError: as ``list``.
        """
        replay = LetterReplay(self._target, letter_id)
        return await self._retrying(lambda: self._transport.replay_letter(replay), None, once=True)

    async def purge(self, letter_id: str | None = None) -> int:
        """Throw a letter away, or all.

        Returns:
            How many are gone. What is more than one commit can remove stays: purge until it is 0.

        Raises:
            ActorError: as ``list``.
        """
        purge = LettersPurge(self._target, letter_id)
        return await self._retrying(lambda: self._transport.purge_letters(purge), None, once=True)


def read_letters(answer: Mapping[str, Any]) -> list[DeadLetter]:
    """Return the letters in an answer of the management API.

    Raises:
        ActorError: ``client.invalid_response``.
    """
    try:
        return [_letter(each) for each in answer["letters"]]
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise failures.invalid_response(200, str(answer)) from error


def _letter(shown: Mapping[str, Any]) -> DeadLetter:
    error = shown["error"]
    return DeadLetter(
        id=str(shown["letter_id"]),
        kind=str(shown["kind"]),
        source=str(shown["source_id"]),
        died_at=datetime.fromtimestamp(shown["dead_ts"] / 1000, UTC),
        attempts=int(shown["attempts"]),
        error=f"{error['group']}.{error['code']}",
        message=str(error["message"]),
        body=untag(shown["body"]),
    )


def read_count(answer: Mapping[str, Any], name: str) -> int:
    """Return a number in an answer of the management API.

    Raises:
        ActorError: ``client.invalid_response``.
    """
    count = answer.get(name)
    if not isinstance(count, int):
        raise failures.invalid_response(200, str(answer))
    return count
