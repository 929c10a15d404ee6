"""What users pass to a client, checked and made plain: keys, inputs, connection parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from rivetless.actor.definition import ActorDefinition
from rivetless.client import failures
from rivetless.client.calls import ActionCall, QueueSend
from rivetless.client.handle import Params
from rivetless.keys import Key, normalise

__all__ = [
    "KeyLike",
    "check_key",
    "fresh_key",
    "keyed",
    "plain_input",
    "plain_params",
    "quoted",
]

KeyLike: TypeAlias = str | Sequence[str] | None
"""``"x"`` is the key of one part; None the key without parts."""

RequestT = TypeVar("RequestT", ActionCall, QueueSend)


def keyed(request: RequestT, rng: Random) -> RequestT:
    """Return the request for the next try: with a key, the same from then on."""
    if request.idempotency_key is not None:
        return request
    return replace(request, idempotency_key=fresh_key(rng))


def fresh_key(rng: Random) -> str:
    """Return an idempotency key that nobody else makes."""
    return f"{rng.getrandbits(128):032x}"


def check_key(key: KeyLike) -> Key:
    """Return a key, refusing those that a gateway URL would turn into another one.

    Raises:
        ActorError: ``client.invalid_key``, or as ``keys.normalise``.
    """
    parts = normalise(key)
    if parts == ("",):
        raise failures.invalid_key(
            "The key is empty text, which a server cannot tell from no key; pass None for that."
        )
    for part in parts:
        if "," in part:
            raise failures.invalid_key(
                f"The key's part {part!r} holds a comma. Gateway URLs join parts with commas, so "
                "it would be taken for two and could lead to another's actor; replace the comma."
            )
    return parts


def plain_input(definition: ActorDefinition | None, value: Any) -> object:
    """Return an input as a plain value, checked where the actor's class is known.

    Raises:
        ActorError: ``actor.validation_error``.
        TypeError: the actor takes no input.
    """
    if definition is None or value is None:
        return value
    if definition.input is None:
        raise TypeError(
            f"{definition.python_name} takes no input: it has no `create_state(input)`."
        )
    return definition.input.plain(definition.input.validate(value))


def quoted(path: str) -> str:
    """Return a path and its query with everything percent-encoded that a URL cannot hold."""
    return quote(path, safe="/?%:@!$&'()*+,;=~[]")


async def plain_params(definition: ActorDefinition | None, params: Params) -> object:
    """Return connection parameters as a plain value; a function is asked for them first.

    Raises:
        ActorError: ``client.get_params_failed``, or ``actor.validation_error``.
    """
    value: object = params
    if callable(params):
        ask: Any = params
        try:
            value = await ask()
        except Exception as error:
            raise failures.get_params_failed(error) from error
    if value is None or definition is None or definition.params is None:
        return value
    return definition.params.plain(definition.params.validate(value))
