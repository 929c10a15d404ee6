"""``{"rivetless": "call"}``: an action, called by whoever may invoke the function.

The message says what an HTTP request would::

    {
      "rivetless": "call",
      "name": "counter", "key": ["k"],        or  "actor": ID
      "action": "increment", "args": [1],
      "create": true, "input": ...,            as getOrCreate; else it must be there
      "params": ..., "namespace": "default",
      "idempotency_key": "..."
    }

and is answered with ``{"output": ..., "actor": ID, "key": [...]}`` or with ``{"error": {"group":
..., "code": ..., "message": ...}}``. Values are JSON as on the wire, tags included. IAM says who
may call; the actors' own hooks see ``params`` as they do over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless.errors import invalid_request
from rivetless.hosts.aws_lambda.messages import text_of
from rivetless.keys import Address, Key, normalise
from rivetless.protocol.headers import idempotency_key
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.commands import ActionResult, ById, ByKey, CallAction, Origin, Target

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation

__all__ = ["call"]

_KNOWN: Final = frozenset(
    {
        "rivetless",
        "action",
        "actor",
        "args",
        "create",
        "idempotency_key",
        "input",
        "key",
        "name",
        "namespace",
        "params",
    }
)


async def call(message: Mapping[str, Any], invocation: Invocation) -> dict[str, object]:
    """Run an action and answer with its output."""
    unknown = sorted(message.keys() - _KNOWN)
    if unknown:
        raise invalid_request(f"A call has no field {unknown[0][:64]!r}.")
    args: object = message.get("args", [])
    if not isinstance(args, list):
        raise invalid_request("`args` of a call is a list.")
    call_key = None
    if "idempotency_key" in message:
        call_key = idempotency_key(text_of(message, "idempotency_key"))
    command = CallAction(
        _target(message),
        text_of(message, "action"),
        cast("list[object]", _plain(cast("object", args))),
        Origin(
            params=_plain(message.get("params")),
            call_key=call_key,
            ray_id=invocation.request_id,
        ),
    )
    result: ActionResult = await invocation.dispatch(command)
    return {
        "output": tag(result.output, JSON),
        "actor": result.actor_id,
        "key": list(result.key),
    }


def _plain(value: object) -> object:
    # Read in place, and the event is not ours alone.
    return untag(deepcopy(value))


def _target(message: Mapping[str, Any]) -> Target:
    namespace = text_of(message, "namespace") if "namespace" in message else "default"
    if "actor" in message:
        if "name" in message or "key" in message or "create" in message:
            raise invalid_request("A call names its actor by `actor`, or by `name` and `key`.")
        return ById(namespace, text_of(message, "actor"))
    create = message.get("create", False)
    if not isinstance(create, bool):
        raise invalid_request("`create` of a call is true or false.")
    if "input" in message and not create:
        raise invalid_request("`input` of a call is for an actor that is created: add `create`.")
    address = Address(namespace, text_of(message, "name"), _key(message.get("key", [])))
    return ByKey(address, create=create, input=_plain(message.get("input")))


def _key(key: object) -> Key:
    if not isinstance(key, str | list):
        raise invalid_request("`key` of a call is a text or a list of texts.")
    try:
        return normalise(cast("str | list[str]", key))
    except TypeError as error:
        raise invalid_request(str(error)) from None
