"""The AsyncAPI document of a registry: what goes over its connections, in JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from rivetless.gateway.components import Components, Schema, as_sent, summary_of
from rivetless.gateway.openapi import ERROR_SCHEMA

if TYPE_CHECKING:
    from rivetless.actor.declare import Event
    from rivetless.actor.definition import ActionDefinition, ActorDefinition
    from rivetless.registry import Registry

__all__ = ["asyncapi", "asyncapi_json"]

_PLACE: Final = "#/components/schemas/"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")

_ID: Final[Schema] = {
    "description": 'The number of the call, as `["$BigInt", "0"]`.',
    "type": "array",
    "prefixItems": [{"const": "$BigInt"}, {"type": "string", "pattern": "^[0-9]+$"}],
    "minItems": 2,
    "maxItems": 2,
}
_QUERY: Final[Schema] = {
    "type": "object",
    "description": "Which actor: its key, where, and whether to make it.",
    "required": ["rvt-namespace", "rvt-method"],
    "properties": {
        "rvt-namespace": {"type": "string", "default": "default"},
        "rvt-method": {"type": "string", "enum": ["get", "getOrCreate"]},
        "rvt-key": {"type": "string", "description": "The parts of the key, joined by commas."},
        "rvt-runner": {"type": "string", "description": "Needed with `getOrCreate`; any name."},
    },
}
_HEADERS: Final[Schema] = {
    "type": "object",
    "properties": {
        "Sec-WebSocket-Protocol": {
            "type": "string",
            "description": "`rivet, rivet_encoding.json`, and `rivet_conn_params.` with "
            "percent-encoded JSON if there are connection parameters.",
        }
    },
}


def asyncapi_json(registry: Registry) -> bytes:
    """Return the document as JSON."""
    return to_json(asyncapi(registry))


def asyncapi(registry: Registry) -> dict[str, Any]:
    """Return the document."""
    import rivetless

    components = Components(_PLACE)
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for name, definition in sorted(registry.definitions.items()):
        channel, own = _actor(name, definition, components)
        channels[_safe(name)] = channel
        operations.update(own)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Actors",
            "version": rivetless.__version__,
            "description": "Connections to actors. The server sends `Init` first; then clients "
            "subscribe to events and call actions.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": {"rivet.Error": ERROR_SCHEMA, **components.schemas},
            "messages": {
                "Init": _message(
                    "Init",
                    "The connection is open",
                    {"actorId": {"type": "string"}, "connectionId": {"type": "string"}},
                ),
                "Error": _message(
                    "Error",
                    "A call, or the connection, failed",
                    {
                        **ERROR_SCHEMA["properties"],
                        "actionId": {"oneOf": [_ID, {"type": "null"}]},
                    },
                    required=["group", "code", "message", "actionId"],
                ),
            },
        },
    }


def _actor(
    name: str, definition: ActorDefinition, components: Components
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an actor's channel and the operations on it."""
    summary, description = summary_of(definition.doc)
    here = f"#/channels/{_safe(name)}"
    messages: dict[str, Any] = {
        "Init": {"$ref": "#/components/messages/Init"},
        "Error": {"$ref": "#/components/messages/Error"},
    }
    operations: dict[str, Any] = {}
    for action_name, action in sorted(definition.actions.items()):
        request, response = f"{_safe(action_name)}.request", f"{_safe(action_name)}.response"
        messages[request], messages[response] = _action(action_name, action, components)
        operations[f"{_safe(name)}.{_safe(action_name)}"] = {
            "action": "receive",
            "channel": {"$ref": here},
            "summary": summary_of(action.doc)[0] or f"Call {action_name}",
            "messages": [{"$ref": f"{here}/messages/{request}"}],
            "reply": {
                "channel": {"$ref": here},
                "messages": [
                    {"$ref": f"{here}/messages/{response}"},
                    {"$ref": f"{here}/messages/Error"},
                ],
            },
        }
    for event_name, event in sorted(definition.events.items()):
        subscribe, sent = f"{_safe(event_name)}.subscribe", f"{_safe(event_name)}.event"
        messages[subscribe] = _subscription(event_name)
        messages[sent] = _event(event_name, event, components)
        operations[f"{_safe(name)}.subscribe.{_safe(event_name)}"] = {
            "action": "receive",
            "channel": {"$ref": here},
            "summary": f"Begin or cease to listen to {event_name}",
            "messages": [{"$ref": f"{here}/messages/{subscribe}"}],
        }
        operations[f"{_safe(name)}.on.{_safe(event_name)}"] = {
            "action": "send",
            "channel": {"$ref": here},
            "summary": f"Tell listeners of {event_name}",
            "messages": [{"$ref": f"{here}/messages/{sent}"}],
        }
    channel: dict[str, Any] = {
        "address": f"/gateway/{quote(name, safe='')}/connect",
        "title": definition.display_name or name,
        "summary": summary or f"A connection to {name}",
        "messages": messages,
        "bindings": {
            "ws": {
                "method": "GET",
                "query": _QUERY,
                "headers": _HEADERS,
                "bindingVersion": "0.1.0",
            }
        },
    }
    if description:
        channel["description"] = description
    return channel, operations


def _action(
    name: str, action: ActionDefinition, components: Components
) -> tuple[dict[str, Any], dict[str, Any]]:
    summary, _ = summary_of(action.doc)
    request = _message(
        "ActionRequest",
        summary or f"Call {name}",
        {
            "id": _ID,
            "name": {"const": name},
            "args": components.add(action.arguments_schema()),
        },
    )
    response = _message(
        "ActionResponse",
        f"What {name} returned",
        {"id": _ID, "output": components.add(as_sent(action.result_schema()))},
    )
    return request, response


def _subscription(name: str) -> dict[str, Any]:
    return _message(
        "SubscriptionRequest",
        f"Begin or cease to listen to {name}",
        {"eventName": {"const": name}, "subscribe": {"type": "boolean"}},
    )


def _event(name: str, event: Event[Any], components: Components) -> dict[str, Any]:
    payload = components.add(as_sent(event.schema.json_schema("serialization")))
    args: Schema
    if event.spreads:
        args = payload
    elif payload == {"type": "null"}:
        args = {"type": "array", "maxItems": 0}
    else:
        args = {"type": "array", "prefixItems": [payload], "minItems": 1, "maxItems": 1}
    return _message("Event", name, {"name": {"const": name}, "args": args})


def _message(
    tag: str, summary: str, fields: dict[str, Any], *, required: list[str] | None = None
) -> dict[str, Any]:
    """Describe a frame: ``{"body": {"tag": …, "val": …}}``."""
    value: Schema = {
        "type": "object",
        "required": list(fields) if required is None else required,
        "properties": fields,
    }
    body: Schema = {
        "type": "object",
        "required": ["tag", "val"],
        "properties": {"tag": {"const": tag}, "val": value},
    }
    return {
        "name": tag,
        "summary": summary,
        "contentType": "application/json",
        "payload": {
            # Models are described in a newer dialect than AsyncAPI's own.
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"type": "object", "required": ["body"], "properties": {"body": body}},
        },
    }


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)
