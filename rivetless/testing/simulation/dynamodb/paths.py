"""Where in an item a part is: paths, what they are written with, and projections along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from rivetless.aws.client import ServiceError
from rivetless.testing.simulation.dynamodb.errors import invalid
from rivetless.testing.simulation.dynamodb.values import Item, Value, admit

Steps: TypeAlias = tuple[str | int, ...]
"""A path in plain words: an attribute's name, and then the names and indexes of parts."""

_NO_NAMES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the placeholders of a request's expressions stand for.

    Attributes:
        names: of attributes.
        values: as the service keeps them.
    """

    names: Mapping[str, str]
    values: Mapping[str, Value]

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Scope:
        """Return a request's.

        Raises:
            ServiceError: a value is none.
        """
        given: Mapping[str, object] = request.get("ExpressionAttributeValues") or {}
        values: dict[str, Value] = {}
        for placeholder, value in given.items():
            try:
                values[placeholder] = admit(value)
            except ServiceError as error:
                raise invalid(
                    "ExpressionAttributeValues contains invalid value: "
                    f"{error.message} for key {placeholder}"
                ) from None
        return cls(request.get("ExpressionAttributeNames") or _NO_NAMES, values)


@dataclass(frozen=True, slots=True)
class Path:
    """A part of an item, as an expression writes it.

    Attributes:
        steps: names, placeholders of names, and indexes.
        plain: whether there is no placeholder among them.
    """

    steps: Steps
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        plain = not any(isinstance(step, str) and step[0] == "#" for step in self.steps)
        object.__setattr__(self, "plain", plain)

    def resolve(self, scope: Scope) -> Steps:
        """Return the path in plain words."""
        if self.plain:
            return self.steps
        names = scope.names
        return tuple(
            names[step] if isinstance(step, str) and step[0] == "#" else step for step in self.steps
        )

    def value(self, item: Item, scope: Scope) -> Value | None:
        """Return what is there; ``None`` if nothing is."""
        return look_up(item, self.resolve(scope))


def look_up(item: Item, steps: Steps) -> Value | None:
    """Return what an item has at a path; ``None`` if nothing is there."""
    found = item.get(cast("str", steps[0]))
    for step in steps[1:]:
        if found is None:
            return None
        if isinstance(step, int):
            parts: list[Value] = found.get("L", ())
            found = parts[step] if step < len(parts) else None
        else:
            found = cast("dict[str, Value]", found.get("M", {})).get(step)
    return found


def show(steps: Steps) -> str:
    """Return a path as messages have it."""
    shown = (f"[{step}]" if isinstance(step, int) else step for step in steps)
    return f"[{', '.join(shown)}]"


def check_overlap(slot: str, paths: Sequence[Steps]) -> None:
    """Refuse paths of which one is a part of another.

    Raises:
        ServiceError: one is.
    """
    if len({path[0] for path in paths}) == len(paths):
        return
    for count, later in enumerate(paths):
        for earlier in paths[:count]:
            common = min(len(earlier), len(later))
            if earlier[:common] == later[:common]:
                raise invalid(
                    f"Invalid {slot}: Two document paths overlap with each other; must remove or "
                    f"rewrite one of these paths; path one: {show(earlier)}, "
                    f"path two: {show(later)}"
                )


# -- projections ---------------------------------------------------------------------------------


def project(item: Item, paths: Sequence[Steps]) -> dict[str, Value]:
    """Return the parts of an item that are at some paths, each where it was."""
    if all(len(path) == 1 for path in paths):
        names = [cast("str", path[0]) for path in paths]
        return {name: item[name] for name in names if name in item}
    found: dict[str, Value] = {}
    for name, inner in _by_first(paths).items():
        value = item.get(cast("str", name))
        part = None if value is None else _project(value, inner)
        if part is not None:
            found[cast("str", name)] = part
    return found


def _by_first(paths: Sequence[Steps]) -> dict[str | int, list[Steps]]:
    found: dict[str | int, list[Steps]] = {}
    for path in paths:
        found.setdefault(path[0], []).append(path[1:])
    return found


def _project(value: Value, paths: Sequence[Steps]) -> Value | None:
    if () in paths:
        return value
    groups = _by_first(paths)
    if "M" in value:
        inner: dict[str, Value] = value["M"]
        parts = {
            name: _project(inner[name], rest)
            for name, rest in groups.items()
            if isinstance(name, str) and name in inner
        }
        kept = {name: part for name, part in parts.items() if part is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        members: list[Value] = value["L"]
        chosen = [
            _project(members[index], groups[index])
            for index in sorted(step for step in groups if isinstance(step, int))
            if index < len(members)
        ]
        some = [part for part in chosen if part is not None]
        return {"L": some} if some else None
    return None
