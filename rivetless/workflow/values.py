"""How results are kept: as plain values, checked against their types on the way back."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import partial
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from rivetless.actor.annotations import hints_of
from rivetless.errors import DefinitionError
from rivetless.serde import Schema, difference, schema_of
from rivetless.workflow.journal import plain_json, read_json

_schemas: dict[object, Schema[Any]] = {}


def schema_of_result(fn: Callable[..., Any]) -> Schema[Any]:
    """Return the schema of what a function returns; of anything where it does not say."""
    function = getattr(_unpartial(fn), "__func__", fn)
    found = _schemas.get(function)
    if found is None:
        found = schema_of(_returned(fn))
        if len(_schemas) < 10_000:
            _schemas[function] = found
    return found


def schema_of_argument(fn: Callable[..., Any], generic: type[Any]) -> Schema[Any]:
    """Return the schema of ``X`` where a function returns ``Break[X] | None``."""
    returned = _returned(fn)
    union = get_origin(returned) in (Union, types.UnionType)
    for part in get_args(returned) if union else (returned,):
        if get_origin(part) is generic:
            return schema_of(get_args(part)[0])
    return schema_of(Any)


def _returned(fn: Callable[..., Any]) -> Any:
    fn = _unpartial(fn)
    scope: dict[str, Any] = {}
    try:
        return hints_of(getattr(fn, "__func__", fn), scope).get("return", Any)
    except (TypeError, AttributeError, DefinitionError):
        return Any


def _unpartial(fn: Any) -> Any:
    while isinstance(fn, partial):
        fn = fn.func
    return fn


def encode(schema: Schema[Any], value: object, what: str) -> object:
    """Check a value and make it plain.

    Raises:
        TypeError: it does not fit, or would come back as something else.
    """
    try:
        plain = schema.encode(value)
        stored = plain_json(plain)
    except (TypeError, ValueError, ValidationError) as error:
        raise TypeError(f"{what} cannot be kept: {error}") from error
    if schema.annotation is Any and difference(value, read_json(stored)) is not None:
        raise TypeError(
            f"{what} would come back as something else. Say what it is, with an annotation of "
            "what returns it."
        )
    return plain


def stored(plain: object) -> Any:
    """Return what is written for a plain value."""
    return plain_json(plain)


def decode(schema: Schema[Any], value: Any) -> Any:
    """Return the value that was kept."""
    return schema.check(read_json(value))
