"""The OpenAPI document of a registry: what can be said to its actors over plain HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from rivetless.gateway.components import Components, Schema, as_sent, summary_of

if TYPE_CHECKING:
    from rivetless.actor.definition import ActionDefinition, ActorDefinition
    from rivetless.registry import Registry

__all__ = ["ERROR_SCHEMA", "openapi", "openapi_json"]

_PLACE: Final = "#/components/schemas/"
_VERBS: Final = ("get", "put", "post", "delete", "patch")

ERROR_SCHEMA: Final[Schema] = {
    "type": "object",
    "description": "What went wrong. Clients switch on group and code.",
    "required": ["group", "code", "message"],
    "properties": {
        "group": {"type": "string", "examples": ["user", "actor"]},
        "code": {"type": "string", "examples": ["not_found"]},
        "message": {"type": "string"},
        "metadata": {"description": "Whatever the error carries; absent if nothing."},
        "actor": {
            "type": "object",
            "required": ["actorId", "generation"],
            "properties": {
                "actorId": {"type": "string"},
                "generation": {"type": "integer"},
                "key": {"type": "string"},
            },
        },
    },
}

_ACTOR_SCHEMA: Final[Schema] = {
    "type": "object",
    "description": "One life of an actor.",
    "required": ["actor_id", "name", "key", "namespace_id", "create_ts"],
    "properties": {
        "actor_id": {"type": "string"},
        "name": {"type": "string"},
        "key": {"type": ["string", "null"], "description": "The parts of the key, joined by `/`."},
        "namespace_id": {"type": "string"},
        "datacenter": {"type": "string"},
        "runner_name_selector": {"type": "string"},
        "crash_policy": {"type": "string"},
        "create_ts": {"type": "integer", "description": "Unix milliseconds."},
        "start_ts": {"type": ["integer", "null"]},
        "pending_allocation_ts": {"type": ["integer", "null"]},
        "connectable_ts": {"type": ["integer", "null"]},
        "sleep_ts": {"type": ["integer", "null"]},
        "reschedule_ts": {"type": ["integer", "null"]},
        "destroy_ts": {"type": ["integer", "null"]},
    },
}

_CREATE_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["name", "key", "runner_name_selector", "crash_policy"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "key": {"type": ["string", "null"], "description": "The parts of the key, joined by `/`."},
        "runner_name_selector": {"type": "string", "examples": ["default"]},
        "crash_policy": {"enum": ["sleep", "restart", "destroy"]},
        "input": {"type": ["string", "null"], "description": "Base64 of the input in CBOR."},
        "datacenter": {"type": ["string", "null"]},
    },
}


def openapi_json(registry: Registry, server: str = "/") -> bytes:
    """Return the document as JSON."""
    return to_json(openapi(registry, server))


def openapi(registry: Registry, server: str = "/") -> dict[str, Any]:
    """Return the document.

    Args:
        registry: the actors.
        server: where the paths begin.
    """
    import rivetless

    components = Components(_PLACE)
    paths: dict[str, Any] = {}
    for name, definition in sorted(registry.definitions.items()):
        paths.update(_actor_paths(name, definition, components))
    paths.update(_management_paths())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Actors",
            "version": rivetless.__version__,
            "description": "Actions are called on the actor that `rvt-key` names; "
            "with `rvt-method=getOrCreate` the actor is made by its first call. "
            "Integers beyond 2^53, which JavaScript would garble, are sent as "
            '`["$BigInt", "9007199254740993"]`.',
        },
        "servers": [{"url": server or "/"}],
        "tags": [
            {"name": name, "description": definition.doc or f"The actor `{name}`."}
            for name, definition in sorted(registry.definitions.items())
        ]
        + [{"name": "management", "description": "Finding, creating and destroying actors."}],
        "paths": paths,
        "components": {
            "schemas": {
                "rivet.Error": ERROR_SCHEMA,
                "rivet.Actor": _ACTOR_SCHEMA,
                "rivet.CreateActor": _CREATE_SCHEMA,
                **components.schemas,
            },
            "parameters": _parameters(),
            "responses": {
                "Error": {
                    "description": "Anything but success.",
                    "content": {"application/json": {"schema": {"$ref": _PLACE + "rivet.Error"}}},
                }
            },
        },
    }


# -- actors -------------------------------------------------------------------------------------


def _actor_paths(
    name: str, definition: ActorDefinition, components: Components
) -> Mapping[str, Any]:
    paths: dict[str, Any] = {}
    base = f"/gateway/{quote(name, safe='')}"
    for action_name, action in sorted(definition.actions.items()):
        path = f"{base}/action/{quote(action_name, safe='')}"
        paths[path] = {"post": _action(name, action_name, action, components)}
    if "on_request" in definition.hooks:
        paths[f"{base}/request"] = {
            "parameters": _refs("namespace", "method", "key", "pool", "params"),
            **{verb: _raw(name, verb) for verb in _VERBS},
        }
    return paths


def _action(
    actor: str, name: str, action: ActionDefinition, components: Components
) -> dict[str, Any]:
    summary, description = summary_of(action.doc)
    arguments = components.add(action.arguments_schema())
    body: Schema = {"type": "object", "properties": {"args": arguments}}
    if arguments.get("minItems"):
        body["required"] = ["args"]
    output = components.add(as_sent(action.result_schema()))
    operation: dict[str, Any] = {
        "operationId": f"{actor}.{name}",
        "tags": [actor],
        "summary": summary or name,
        "parameters": _refs("namespace", "method", "key", "pool", "params", "idempotency"),
        "requestBody": {
            "required": bool(arguments.get("minItems")),
            "content": {"application/json": {"schema": body}},
        },
        "responses": {
            "200": {
                "description": "What the action returned.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["output"],
                            "properties": {"output": output},
                        }
                    }
                },
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if description:
        operation["description"] = description
    return operation


def _raw(actor: str, verb: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{actor}.request.{verb}",
        "tags": [actor],
        "summary": f"{verb.upper()} what the actor serves itself",
        "description": "Any path below this one reaches the actor's `on_request`, too.",
        "responses": {"default": {"description": "Whatever the actor answers."}},
    }
    if verb in ("put", "post", "patch"):
        operation["requestBody"] = {"content": {"*/*": {}}}
    return operation


def _refs(*names: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _parameters() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "namespace": {
            "name": "rvt-namespace",
            "in": "query",
            "required": True,
            "schema": {"type": "string", "default": "default", "minLength": 1, "maxLength": 64},
        },
        "method": {
            "name": "rvt-method",
            "in": "query",
            "required": True,
            "description": "`get` fails if there is no such actor; `getOrCreate` makes it.",
            "schema": {"enum": ["get", "getOrCreate"], "default": "getOrCreate"},
        },
        "key": {
            "name": "rvt-key",
            "in": "query",
            "description": "The parts of the actor's key, joined by commas.",
            "schema": {"type": "string", "maxLength": 1024},
        },
        "pool": {
            "name": "rvt-runner",
            "in": "query",
            "description": "Needed with `getOrCreate`, refused with `get`; any name will do.",
            "schema": {"type": "string", "examples": ["default"]},
        },
        "params": {
            "name": "x-rivet-conn-params",
            "in": "header",
            "description": "Connection parameters, as JSON.",
            "schema": text,
        },
        "idempotency": {
            "name": "idempotency-key",
            "in": "header",
            "description": "A repeated call with the same key is answered as the first was.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        },
        "namespace_plain": {
            "name": "namespace",
            "in": "query",
            "required": True,
            "schema": {"type": "string", "default": "default", "minLength": 1, "maxLength": 64},
        },
        "actor_id": {
            "name": "actor_id",
            "in": "path",
            "required": True,
            "schema": text,
        },
    }


# -- management ---------------------------------------------------------------------------------


def _management_paths() -> dict[str, Any]:
    actor = {"$ref": _PLACE + "rivet.Actor"}
    page = {"type": "object", "properties": {"cursor": {"type": ["string", "null"]}}}
    body = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _PLACE + "rivet.CreateActor"}}},
    }
    namespace = _refs("namespace_plain")
    query = [
        {"name": name, "in": "query", "schema": {"type": "string"}, "description": description}
        for name, description in (
            ("name", "Name of the actor class."),
            ("key", "The parts of the key, joined by `/`; needs `name`."),
            ("actor_ids", "Ids, joined by commas; excludes `name` and `key`."),
            ("limit", "How many at most."),
            ("cursor", "Where the page before ended."),
            ("include_destroyed", "`true` lists destroyed lives, too."),
        )
    ]
    return {
        "/actors": {
            "get": _managed(
                "listActors",
                "Find or list actors",
                {"actors": {"type": "array", "items": actor}, "pagination": page},
                parameters=[*namespace, *query],
            ),
            "put": _managed(
                "getOrCreateActor",
                "Find an actor, or create it",
                {"actor": actor, "created": {"type": "boolean"}},
                parameters=namespace,
                body=body,
            ),
            "post": _managed(
                "createActor", "Create an actor", {"actor": actor}, parameters=namespace, body=body
            ),
        },
        "/actors/names": {
            "get": _managed(
                "listActorNames",
                "List the actor classes",
                {"names": {"type": "object"}, "pagination": page},
                parameters=[*namespace, *[q for q in query if q["name"] in ("limit", "cursor")]],
            )
        },
        "/actors/{actor_id}": {
            "delete": _managed(
                "destroyActor",
                "Destroy an actor",
                {},
                parameters=[*namespace, *_refs("actor_id")],
            )
        },
        "/actors/{actor_id}/sleep": {
            "post": _managed(
                "sleepActor",
                "Put an actor to sleep",
                {},
                parameters=[*namespace, *_refs("actor_id")],
            )
        },
        "/actors/{actor_id}/dead-letters": {
            "get": _managed(
                "listDeadLetters",
                "List what an actor was to do and could not",
                {"letters": {"type": "array", "items": {"type": "object"}}},
                parameters=[
                    *namespace,
                    *_refs("actor_id"),
                    *[q for q in query if q["name"] == "limit"],
                    {"name": "kind", "in": "query", "schema": {"type": "string"}},
                ],
            ),
            "delete": _managed(
                "purgeDeadLetters",
                "Throw an actor's dead letters away",
                {"purged": {"type": "integer"}},
                parameters=[*namespace, *_refs("actor_id")],
            ),
        },
        "/metadata": {
            "get": _managed(
                "getMetadata",
                "What this server is and which actors it has",
                {"runtime": {"type": "string"}, "version": {"type": "string"}},
            )
        },
        "/health": {
            "get": _managed("getHealth", "Whether the server is well", {"status": {"const": "ok"}})
        },
    }


def _managed(
    operation_id: str,
    summary: str,
    properties: Mapping[str, Any],
    *,
    parameters: list[Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "tags": ["management"],
        "summary": summary,
        "responses": {
            "200": {
                "description": "Done.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": list(properties),
                            "properties": dict(properties),
                        }
                    }
                },
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation
