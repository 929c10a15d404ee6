"""The turn of an actor outside of steps: there is none, and every use of it says so."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from rivetless.errors import ActorError

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.turn import Turn
    from rivetless.keys import Address

_NAMES: Final = MappingProxyType(
    {"get_state": "state", "set_state": "state", "get_vars": "vars", "set_vars": "vars"}
)


class Known(Protocol):
    """What is known of an actor outside of steps too."""

    @property
    def definition(self) -> ActorDefinition: ...
    @property
    def address(self) -> Address: ...
    @property
    def actor_id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]: ...
    @property
    def abort(self) -> AbortSignal: ...


class _Outside:
    def __init__(self, known: Known) -> None:
        self.definition = known.definition
        self.address = known.address
        self.actor_id = known.actor_id
        self.region = known.region
        self.log = known.log
        self.abort = known.abort

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise ActorError(
                "actor",
                "invalid_operation",
                f"`self.{_NAMES.get(name, name)}` is only available inside workflow steps: do it "
                "in a method, and run that with `ctx.step(name, self.method)`.",
            )


def outside(known: Known) -> Turn:
    """Return what stands behind the actor in a workflow's function."""
    return cast("Turn", _Outside(known))
