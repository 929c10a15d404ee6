"""``setup`` and ``Registry``: the actors of one application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivetless.actor.definition import ActorDefinition

if TYPE_CHECKING:
    from rivetless.actor.base import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Options of a registry.

    Attributes:
        base_path: where the serverless routes are.
        max_incoming_message_size: bytes a request's body or a frame may have.
        max_outgoing_message_size: bytes an answer or a frame may have.
    """

    base_path: str = "/api/rivet"
    max_incoming_message_size: int = 65_536
    max_outgoing_message_size: int = 1_048_576


class Registry:
    """The actors of one application, by wire name.

    Attributes:
        definitions: by wire name.
        options: limits and paths.
    """

    definitions: Mapping[str, ActorDefinition]
    options: RegistryOptions

    def find(self, name: str) -> ActorDefinition | None:
        """Find a definition by the actor's wire name or its class's name in snake_case."""
        raise NotImplementedError

    def handler(self, **options: Any) -> Any:
        """Make the ASGI app."""
        raise NotImplementedError

    def serve(self, **options: Any) -> None:
        """Serve the actors here until interrupted."""
        raise NotImplementedError


def setup(
    use: Iterable[type[Actor[Any, Any, Any]]] | Mapping[str, type[Actor[Any, Any, Any]]],
    **options: Any,
) -> Registry:
    """Make a registry of actor classes."""
    raise NotImplementedError
