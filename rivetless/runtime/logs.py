"""``ActorLogger``: what ``self.log`` is, a logger that says which actor speaks."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from rivetless.keys import serialise

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn


class ActorLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds actor and turn to every record, beside what the caller adds with ``extra``.

    Args:
        turn: who speaks.
    """

    def __init__(self, turn: ActorTurn) -> None:
        extra = {
            "actor_name": turn.address.name,
            "actor_key": serialise(turn.address.key),
            "actor_id": turn.actor_id,
            "turn_id": turn.turn_id,
        }
        super().__init__(logging.getLogger(f"rivetless.actor.{turn.address.name}"), extra)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge both; the standard library's adapters take the caller's away."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs
