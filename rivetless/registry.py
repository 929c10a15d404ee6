"""``setup`` and ``Registry``: the actors of one application.

The facade over the whole package: ``handler`` and ``serve`` load a host when they are called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Never, TypeAlias, cast

from rivetless.actor.base import Actor, definition_of
from rivetless.actor.definition import ActorDefinition
from rivetless.actor.names import class_name, did_you_mean, why_not
from rivetless.errors import DefinitionError
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from typing import Unpack

    from rivetless.hosts.asgi import ASGIApp
    from rivetless.hosts.options import HandlerOptions, ServeOptions

__all__ = ["ActorClass", "Registry", "RegistryOptions", "setup"]

ActorClass: TypeAlias = type[Actor[Any, Any, Any]]

BASE_PATH: Final = "/api/rivet"
MAX_INCOMING: Final = 65_536
MAX_OUTGOING: Final = 1_048_576

_LARGEST: Final = 32 * 1024 * 1024
"""The largest frame any Rivet client takes."""


@frozen(kw_only=True)
class RegistryOptions:
    """Options of a registry.

    Attributes:
        base_path: where the serverless routes are; what it begins with may be a mount point.
        max_incoming_message_size: how many bytes a request's body or a frame may have.
        max_outgoing_message_size: how many bytes an answer or an event may have.
    """

    base_path: str = BASE_PATH
    max_incoming_message_size: int = MAX_INCOMING
    max_outgoing_message_size: int = MAX_OUTGOING

    def __post_init__(self) -> None:
        path: Any = self.base_path
        if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path:
            raise DefinitionError(f"setup: `base_path` is a path such as /api/rivet, not {path!r}.")
        for name in ("max_incoming_message_size", "max_outgoing_message_size"):
            size: object = getattr(self, name)
            if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= _LARGEST:
                raise DefinitionError(
                    f"setup: `{name}` is a number of bytes from 1 to {_LARGEST}, not {size!r}."
                )


_OPTIONS: Final = tuple(field.name for field in dataclasses.fields(RegistryOptions))

_HOST: Final = "where actors are served is said to `registry.handler(...)` or `registry.serve(...)`"
_ENGINE: Final = "there is no engine to connect to"

_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "endpoint": _ENGINE,
        "token": _ENGINE,
        "namespace": "clients say which namespace they mean",
        "start_engine": _ENGINE,
        "engine_host": _ENGINE,
        "engine_port": _ENGINE,
        "engine_version": _ENGINE,
        "configure_pool": _ENGINE,
        "envoy": _ENGINE,
        "runtime": "there is one runtime",
        "wasm": "there is one runtime",
        "serverless": "write `base_path=` itself",
        "http_base_path": "write `base_path=`",
        "http_host": _HOST,
        "http_port": _HOST,
        "static_dir": _HOST,
        "store": _HOST,
        "logging": "configure the logger `rivetless` with the standard library's `logging`",
        "no_welcome": _HOST,
        "shutdown": _HOST,
    }
)


class Registry:
    """The actors of one application. ``setup`` makes it.

    Attributes:
        definitions: by wire name.
        options: limits and paths.
    """

    def __init__(
        self, definitions: Mapping[str, ActorDefinition], options: RegistryOptions
    ) -> None:
        self.definitions: Mapping[str, ActorDefinition] = MappingProxyType(dict(definitions))
        self.options = options

    def __repr__(self) -> str:
        return f"<Registry of {', '.join(self.definitions) or 'no actors'}>"

    def find(self, name: str) -> ActorDefinition | None:
        """Find a definition by wire name; ``chat_room`` and ``ChatRoom`` also find ``chatRoom``."""
        return self.definitions.get(name) or self.definitions.get(class_name(name))

    def handler(self, **options: Unpack[HandlerOptions]) -> ASGIApp:
        """Make the ASGI app that serves the actors; mount it in any other, or serve it as it is.

        Args:
            **options: as ``rivetless.hosts.asgi.ASGIApp`` takes them.
        """
        from rivetless.hosts.asgi import ASGIApp

        return ASGIApp(self, **options)

    def serve(self, **options: Unpack[ServeOptions]) -> None:
        """Serve the actors here until the process is interrupted.

        Args:
            **options: as ``rivetless.hosts.local.serve`` takes them.
        """
        from rivetless.hosts.local import serve

        serve(self, **options)


def setup(
    use: Iterable[ActorClass] | Mapping[str, ActorClass],
    *,
    base_path: str = BASE_PATH,
    max_incoming_message_size: int = MAX_INCOMING,
    max_outgoing_message_size: int = MAX_OUTGOING,
    **unknown: Never,
) -> Registry:
    """Make a registry of actor classes.

    Args:
        use: the classes; or the classes by the names they shall have on the wire. A class under
            another name than its own is reached by that name only, not by its class.
        base_path: where the serverless routes are.
        max_incoming_message_size: how many bytes a request's body or a frame may have.
        max_outgoing_message_size: how many bytes an answer or an event may have.
        **unknown: refused, with the option that may have been meant.

    Raises:
        DefinitionError: something is no actor class, two have one name, a type in a class names
            something that does not exist, or an option is wrong.
    """
    for option in unknown:
        reason = _REFUSED.get(option)
        if reason is not None:
            raise DefinitionError(f"setup: leave `{option}` out: {reason}.")
        hint = did_you_mean(option, ("use", *_OPTIONS))
        raise DefinitionError(f"setup: there is no option `{option}`.{hint}")
    options = RegistryOptions(
        base_path=base_path,
        max_incoming_message_size=max_incoming_message_size,
        max_outgoing_message_size=max_outgoing_message_size,
    )
    found: dict[str, ActorDefinition] = {}
    for definition in _definitions(use):
        definition.resolve()
        other = found.get(definition.name)
        if other is not None:
            raise DefinitionError(_twice(definition, other))
        found[definition.name] = definition
    return Registry(found, options)


def _definitions(use: object) -> Iterator[ActorDefinition]:
    if isinstance(use, Mapping):
        for name, cls in cast("Mapping[object, object]", use).items():
            wrong = why_not(name)
            if wrong is not None:
                raise DefinitionError(f"setup: {wrong}.")
            yield dataclasses.replace(definition_of(cls), name=str(name))
    elif isinstance(use, Iterable) and not isinstance(use, str | type):
        yield from map(definition_of, cast("Iterable[object]", use))
    else:
        raise DefinitionError("setup: `use` is a list of actor classes: `use=[Counter]`.")


def _twice(one: ActorDefinition, other: ActorDefinition) -> str:
    if one.cls is other.cls:
        return f"setup: {one.python_name} is in `use` twice."
    classes = (
        f"{other.cls.__module__}.{other.python_name} and {one.cls.__module__}.{one.python_name}"
    )
    return (
        f"setup: {classes} are both `{one.name}` on the wire. Give one a name: "
        f'`class {one.python_name}(Actor, name="...")`.'
    )
