"""Models that many descriptions share, under names that are unique in a document."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, Final, cast

__all__ = ["Components", "Schema", "as_sent", "summary_of"]

Schema = dict[str, Any]
"""A JSON Schema."""

_LOCAL: Final = "#/$defs/"


def summary_of(doc: str) -> tuple[str, str]:
    """Return a docstring's first sentence, without its stop, and the whole of it."""
    text = inspect.cleandoc(doc) if doc else ""
    first = text.partition("\n\n")[0].replace("\n", " ").strip()
    return first.removesuffix("."), text


def as_sent(schema: Schema) -> Schema:
    """Return a schema with sets and bytes as JSON carries them: ``["$Set", [1]]``."""
    return cast("Schema", _as_sent(schema))


def _as_sent(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_sent(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    schema = {key: _as_sent(item) for key, item in cast("dict[str, Any]", value).items()}
    if schema.get("type") == "array" and schema.pop("uniqueItems", None) is True:
        return _tagged("$Set", schema)
    if schema.get("type") == "string" and schema.get("format") == "binary":
        schema["format"] = "byte"
        return _tagged("$Uint8Array", schema)
    return schema


def _tagged(tag: str, content: Schema) -> Schema:
    content.pop("default", None)
    items = [{"const": tag}, content]
    tagged: Schema = {"type": "array", "prefixItems": items, "minItems": 2, "maxItems": 2}
    for key in ("title", "description"):
        if key in content:
            tagged[key] = content.pop(key)
    return tagged


class Components:
    """Collects the definitions of schemas.

    Args:
        place: what references begin with, e.g. ``#/components/schemas/``.

    Attributes:
        schemas: the definitions so far, by name.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._known: dict[tuple[str, str], str] = {}
        self.schemas: dict[str, Schema] = {}

    def add(self, schema: Mapping[str, Any]) -> Schema:
        """Take a schema's ``$defs`` in, and return it with references to where they are now.

        Two models of one name are told apart by what they and those they refer to say.
        """
        definitions: dict[str, Any] = schema.get("$defs", {})
        names: dict[str, str] = {}
        fresh: list[str] = []
        for name in definitions:
            whole = {other: definitions[other] for other in sorted(_reached(name, definitions))}
            print_ = json.dumps(whole, sort_keys=True)
            known = self._known.get((name, print_))
            if known is None:
                known = self._free(name)
                self._known[name, print_] = known
                self.schemas[known] = {}
                fresh.append(name)
            names[name] = known
        for name in fresh:
            self.schemas[names[name]] = cast("Schema", self._move(definitions[name], names))
        rest = {key: value for key, value in schema.items() if key != "$defs"}
        return cast("Schema", self._move(rest, names))

    def _free(self, name: str) -> str:
        free, number = name, 2
        while free in self.schemas:
            free, number = f"{name}{number}", number + 1
        return free

    def _move(self, value: Any, names: Mapping[str, str]) -> Any:
        if isinstance(value, list):
            return [self._move(item, names) for item in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        moved: dict[str, Any] = {}
        for key, item in cast("dict[str, Any]", value).items():
            if key == "$ref" and isinstance(item, str) and item.startswith(_LOCAL):
                moved[key] = self._place + names[item[len(_LOCAL) :]]
            elif key == "mapping" and isinstance(item, dict):
                # A discriminator names definitions, too.
                moved[key] = {
                    tag: self._place + names[ref[len(_LOCAL) :]] if ref.startswith(_LOCAL) else ref
                    for tag, ref in cast("dict[str, str]", item).items()
                }
            else:
                moved[key] = self._move(item, names)
        return moved


def _reached(name: str, definitions: Mapping[str, Any]) -> set[str]:
    """Return the names of a definition and of all it refers to."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found or current not in definitions:
            continue
        found.add(current)
        waiting += [
            part[len(_LOCAL) :]
            for part in _strings(definitions[current])
            if part.startswith(_LOCAL)
        ]
    return found


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return [text for item in cast("list[object]", value) for text in _strings(item)]
    return []
