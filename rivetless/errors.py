"""Every error that can leave the system, and the one table that says how it is shown.

An error on the wire is a group, a code, a message and metadata. ``CODES`` and ``GROUPS`` hold, for
each of them, the HTTP status and whether message and metadata may reach a client. This module
imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

from rivetless.frozen import frozen

__all__ = [
    "CODES",
    "GROUPS",
    "INTERNAL_MESSAGE",
    "ActorAborted",
    "ActorError",
    "ActorSpecifier",
    "Code",
    "DefinitionError",
    "MissingExtraError",
    "UserError",
    "action_not_found",
    "deadlock",
    "duplicate_key",
    "forbidden",
    "incoming_too_long",
    "internal_error",
    "invalid_request",
    "is_public",
    "make",
    "message_too_large",
    "method_not_allowed",
    "missing_extra",
    "not_found",
    "outgoing_too_long",
    "public_error",
    "queue_full",
    "route_not_found",
    "state_too_large",
    "status_of",
    "validation_error",
]

INTERNAL_MESSAGE: Final = "An internal error occurred"
"""What a client reads instead of a message that is not public."""


@frozen
class ActorSpecifier:
    """Which actor an error comes from.

    Attributes:
        actor_id: id of its life.
        generation: which tenure of the life raised it.
        key: serialised key, or None where it is not known.
    """

    actor_id: str
    generation: int
    key: str | None


class ActorError(Exception):
    """An error with a group and a code, as it travels between actors and clients.

    Attributes:
        group: who speaks: ``user``, ``actor``, ``queue``, ``guard``, …
        code: what happened, in snake_case.
        message: a sentence for people.
        metadata: anything serialisable, or None.
        actor: the actor it comes from, where that is known.
    """

    group: str
    code: str
    message: str
    metadata: object
    actor: ActorSpecifier | None

    def __init__(
        self,
        group: str,
        code: str,
        message: str,
        metadata: object = None,
        *,
        actor: ActorSpecifier | None = None,
    ) -> None:
        self.group = group
        self.code = code
        self.message = message
        self.metadata = metadata
        self.actor = actor

    @property
    def name(self) -> str:
        """Group and code in one word, as in close reasons: ``user.bad_token``."""
        return f"{self.group}.{self.code}"

    def __str__(self) -> str:
        return f"{self.group}.{self.code}: {self.message}"

    def __repr__(self) -> str:
        metadata = "" if self.metadata is None else f", {self.metadata!r}"
        actor = "" if self.actor is None else f", actor={self.actor!r}"
        return f"ActorError({self.group!r}, {self.code!r}, {self.message!r}{metadata}{actor})"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own way calls the class with ``args``, which miss keyword-only arguments.
        return _rebuild, (type(self), dict(self.__dict__))


def _rebuild(cls: type[ActorError], attributes: dict[str, object]) -> ActorError:
    error = cls.__new__(cls)
    error.__dict__.update(attributes)
    return error


class UserError(ActorError):
    """Raise it in an actor to tell the caller what went wrong; it is shown as it is.

    Args:
        message: a sentence for the caller.
        code: what callers switch on.
        metadata: anything serialisable.
    """

    def __init__(self, message: str, *, code: str = "user_error", metadata: object = None) -> None:
        super().__init__("user", code, message, metadata)


class DefinitionError(TypeError):
    """An actor class is written wrong; the message says how to mend it."""


class MissingExtraError(ImportError):
    """A feature needs a package that an extra of rivetless installs."""


class ActorAborted(BaseException):
    """The actor stops waiting: its function ends, or it was destroyed.

    Not an ``Exception``, so that ``except Exception`` in user code lets it pass.
    """


# -- the table -----------------------------------------------------------------------------------


class Code(NamedTuple):
    """How one error is shown.

    Attributes:
        status: HTTP status.
        public: message and metadata may reach a client.
        message: the usual sentence; empty where each use has its own.
    """

    status: int
    public: bool = False
    message: str = ""


_PUBLIC: Final = True

GROUPS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "actor": Code(500),
        "actor_runtime_socket": Code(500, _PUBLIC),
        "api": Code(400, _PUBLIC),
        "auth": Code(403),
        "config": Code(400),
        "connection": Code(500),
        "core": Code(500),
        "datacenter": Code(400, _PUBLIC),
        "depot": Code(500),
        "encoding": Code(400, _PUBLIC),
        "engine": Code(500),
        "feature": Code(500),
        "guard": Code(400, _PUBLIC),
        "inspector": Code(400, _PUBLIC),
        "kv": Code(400, _PUBLIC),
        "message": Code(400),
        "namespace": Code(400, _PUBLIC),
        "pegboard": Code(504),
        "protocol": Code(500),
        "queue": Code(400),
        "registry": Code(400),
        "request": Code(400, _PUBLIC),
        "rivetkit": Code(500),
        "runner": Code(400),
        "runner_config": Code(400),
        "schedule": Code(400, _PUBLIC),
        "serverless_runner_pool": Code(400),
        "sqlite": Code(500),
        "user": Code(400, _PUBLIC),
        "validation": Code(400, _PUBLIC),
        "ws": Code(400, _PUBLIC),
    }
)
"""The rule of a group, for codes that ``CODES`` does not name; other groups are 500 and hidden."""

_NOT_FOUND: Final = "The actor does not exist or was destroyed."
_OUTCOME_UNKNOWN: Final = (
    "It is not known whether the call took effect. Look before you call again, "
    "or repeat it with the same idempotency key."
)

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        # Actors: what an actor answers, and why it cannot.
        "actor.aborted": Code(500, _PUBLIC, "Actor aborted"),
        "actor.action_not_found": Code(404, _PUBLIC, "Action `{name}` was not found."),
        "actor.action_timed_out": Code(408, _PUBLIC, "Action timed out"),
        "actor.callback_timed_out": Code(500, False, "Lifecycle callback timed out"),
        "actor.conflict": Code(
            409, _PUBLIC, "Others kept changing the actor until the call's time was over."
        ),
        "actor.database_not_configured": Code(500, False, "database not configured"),
        "actor.deadlock": Code(409, _PUBLIC, "The actor waits for itself: {chain}."),
        "actor.destroyed_during_creation": Code(
            400, _PUBLIC, "Actor was destroyed during creation."
        ),
        "actor.destroyed_while_waiting_for_ready": Code(
            400, _PUBLIC, "Actor was destroyed while waiting for ready state."
        ),
        "actor.destroying": Code(500, _PUBLIC, "Actor is destroying."),
        "actor.dropped_reply": Code(
            500, _PUBLIC, "Actor reply channel was dropped without a response."
        ),
        "actor.duplicate_key": Code(
            400, _PUBLIC, "Actor key '{key}' already in use for actor '{actor_id}'"
        ),
        "actor.empty_key": Code(400, _PUBLIC, "Key label cannot be empty."),
        "actor.idempotency_mismatch": Code(
            422, _PUBLIC, "The idempotency key was used before for a different call."
        ),
        "actor.init_error": Code(500, False, "The connection could not be set up."),
        "actor.input_too_large": Code(400, _PUBLIC, "Actor input too large."),
        "actor.internal_error": Code(500),
        "actor.interrupted": Code(
            500, _PUBLIC, "The call was interrupted after it had saved a part of its work."
        ),
        "actor.invalid_operation": Code(500, False, "Actor operation is invalid."),
        "actor.invalid_request": Code(400, _PUBLIC),
        "actor.js_callback_failed": Code(500),
        "actor.js_callback_unavailable": Code(500),
        "actor.key_reserved_in_different_datacenter": Code(
            400, _PUBLIC, "key already reserved in a different datacenter"
        ),
        "actor.key_too_large": Code(400, _PUBLIC, "Key label too large."),
        "actor.kv_key_not_found": Code(400, _PUBLIC, "The KV key does not exist for this actor."),
        "actor.kv_storage_quota_exceeded": Code(500, False, "Not enough space left in storage."),
        "actor.method_not_allowed": Code(405, _PUBLIC, "Method not allowed"),
        "actor.missing_input": Code(500, False, "Actor input is missing."),
        "actor.namespace_not_found": Code(400, _PUBLIC, "The namespace does not exist."),
        "actor.no_runner_config_configured": Code(
            400, _PUBLIC, "No runner config configured in any datacenter."
        ),
        "actor.not_configured": Code(500, False, "Actor capability is not configured."),
        "actor.not_found": Code(404, _PUBLIC, _NOT_FOUND),
        "actor.not_ready": Code(500, False, "Actor is not ready."),
        "actor.not_registered": Code(404, _PUBLIC, "No actor named `{name}` is registered."),
        "actor.outcome_unknown": Code(504, _PUBLIC, _OUTCOME_UNKNOWN),
        "actor.overloaded": Code(503, _PUBLIC, "Actor is overloaded."),
        "actor.panicked": Code(500, False, "Actor task panicked."),
        "actor.restarting": Code(503, _PUBLIC, "Actor is restarting. Retry the request."),
        "actor.run_handler_unavailable": Code(409, _PUBLIC, "run handler unavailable"),
        "actor.shutdown_timeout": Code(500, False, "Actor shutdown timed out."),
        "actor.starting": Code(503, _PUBLIC, "Actor is starting."),
        "actor.state_mutation_reentrant": Code(500, False, "Actor state mutation is re-entrant."),
        "actor.state_not_enabled": Code(500, False, "state not enabled"),
        "actor.state_too_large": Code(
            413, _PUBLIC, "Actor state too large ({size} bytes). Limit is {limit} bytes."
        ),
        "actor.stopped": Code(503, _PUBLIC, "Actor stopped."),
        "actor.stopping": Code(503, _PUBLIC, "Actor is stopping."),
        "actor.unsupported_websocket_encoding": Code(
            400, _PUBLIC, "Unknown encoding `{encoding}`. Use json, cbor or bare."
        ),
        "actor.validation_error": Code(400, _PUBLIC, "Actor validation failed."),
        "actor.workflow_in_flight": Code(
            409,
            _PUBLIC,
            "Workflow replay is unavailable while the workflow is currently in flight.",
        ),
        # The management API.
        "api.bad_request": Code(400, _PUBLIC, "Request is invalid"),
        "api.forbidden": Code(403, _PUBLIC, "Access denied"),
        "api.internal_error": Code(500, _PUBLIC, "An internal server error occurred"),
        "api.not_found": Code(404, _PUBLIC, "The requested resource was not found"),
        "api.unauthorized": Code(401, _PUBLIC, "Authentication required"),
        "auth.forbidden": Code(403, _PUBLIC, "Forbidden."),
        "core.internal_error": Code(500, False, INTERNAL_MESSAGE),
        "encoding.invalid": Code(400, _PUBLIC, "invalid encoding"),
        "engine.not_served": Code(
            501, _PUBLIC, "This server runs actors by itself; it does not serve a Rivet Engine."
        ),
        # The gateway.
        "guard.actor_ready_timeout": Code(
            503, _PUBLIC, "Timed out waiting for actor to become ready."
        ),
        "guard.actor_runner_failed": Code(
            400, _PUBLIC, "Actor's runner pool is experiencing errors."
        ),
        "guard.actor_stopped_while_waiting": Code(
            503, _PUBLIC, "Actor stopped while waiting for a response."
        ),
        "guard.actor_wake_retries_exceeded": Code(
            503, _PUBLIC, "Actor stopped before becoming ready."
        ),
        "guard.gateway_response_start_timeout": Code(
            504, _PUBLIC, "Timed out waiting for actor response start."
        ),
        "guard.invalid_request_body": Code(413, _PUBLIC, "Unable to parse request body."),
        "guard.invalid_response_body": Code(502, _PUBLIC, "Unable to parse response body."),
        "guard.no_route": Code(404, _PUBLIC, "No route found."),
        "guard.rate_limit": Code(429, _PUBLIC, "Too many requests. Try again later."),
        "guard.request_timeout": Code(504, _PUBLIC, "Request timed out."),
        "guard.retry_attempts_exceeded": Code(502, _PUBLIC, "All attempts failed."),
        "guard.route_api_public_timeout": Code(504, _PUBLIC, "Timed out routing the request."),
        "guard.route_auth_check_timeout": Code(504, _PUBLIC, "Timed out routing the request."),
        "guard.route_compute_timeout": Code(504, _PUBLIC, "Timed out routing the request."),
        "guard.route_dispatch_timeout": Code(504, _PUBLIC, "Timed out routing the request."),
        "guard.routing_error": Code(502, _PUBLIC, "The request could not be routed."),
        "guard.service_unavailable": Code(503, _PUBLIC, "Service unavailable."),
        "guard.tunnel_message_timeout": Code(504, _PUBLIC, "Actor tunnel message timed out."),
        "guard.tunnel_request_aborted": Code(503, _PUBLIC, "Actor tunnel aborted the request."),
        "guard.tunnel_response_closed": Code(
            503, _PUBLIC, "Actor tunnel closed before sending a response."
        ),
        "guard.upstream_error": Code(502, _PUBLIC, "Upstream error."),
        "inspector.unauthorized": Code(
            401, _PUBLIC, "Inspector request requires a valid bearer token"
        ),
        # Messages and queues.
        "message.incoming_too_long": Code(400, _PUBLIC, "Incoming message too long"),
        "message.outgoing_too_long": Code(400, _PUBLIC, "Outgoing message too long"),
        "namespace.not_found": Code(400, _PUBLIC, "The namespace does not exist."),
        "queue.already_completed": Code(400, _PUBLIC, "Queue message was already completed."),
        "queue.complete_not_configured": Code(
            400, _PUBLIC, "Queue '{name}' does not support completion responses."
        ),
        "queue.completion_waiter_conflict": Code(400),
        "queue.completion_waiter_dropped": Code(400),
        "queue.full": Code(400, _PUBLIC, "Queue is full. Limit is {limit} messages."),
        "queue.invalid_completion_payload": Code(
            400, _PUBLIC, "Queue completion payload is invalid."
        ),
        "queue.invalid_message_key": Code(400),
        "queue.invalid_payload": Code(400, _PUBLIC, "Queue payload is invalid."),
        "queue.message_invalid": Code(400, _PUBLIC, "Queue message is invalid."),
        "queue.message_too_large": Code(
            400, _PUBLIC, "Queue message too large ({size} bytes). Limit is {limit} bytes."
        ),
        "queue.previous_message_not_completed": Code(
            400,
            _PUBLIC,
            "Previous completable queue message is not completed. "
            "Call `message.complete(...)` before receiving the next message.",
        ),
        "queue.timed_out": Code(400, _PUBLIC, "Timed out waiting for a queue message."),
        "registry.shut_down": Code(400, False, "Registry is shut down."),
        "request.invalid": Code(400, _PUBLIC, "Invalid request."),
        "rivetkit.internal_error": Code(500, False, INTERNAL_MESSAGE),
    }
)
"""Every code with a rule of its own. The documentation lists this table."""

_UNKNOWN: Final = Code(500)


def _rule(error: ActorError) -> Code:
    return CODES.get(f"{error.group}.{error.code}") or GROUPS.get(error.group, _UNKNOWN)


def status_of(error: ActorError) -> int:
    """Return the HTTP status of an error."""
    return _rule(error).status


def is_public(error: ActorError) -> bool:
    """Tell whether message and metadata of an error may reach a client."""
    return _rule(error).public


def public_error(exc: BaseException, *, expose: bool = False) -> ActorError:
    """Return what a client may see of an exception.

    Public errors are returned as they are. Other actor errors keep group and code; any other
    exception becomes ``rivetkit.internal_error``.

    Args:
        exc: what was raised.
        expose: show everything, for development (``RIVET_EXPOSE_ERRORS=1``).
    """
    if isinstance(exc, ActorError):
        if expose or is_public(exc):
            return exc
        return ActorError(exc.group, exc.code, INTERNAL_MESSAGE, actor=exc.actor)
    if isinstance(exc, ActorAborted):
        return make("actor.aborted")
    if expose:
        text = str(exc)
        kind = type(exc).__name__
        return internal_error(f"{kind}: {text}" if text else kind)
    return internal_error()


# -- errors that are made in several places ------------------------------------------------------


def make(name: str, metadata: object = None, /, **values: object) -> ActorError:
    """Make the error ``group.code`` with the message of the table.

    Args:
        name: a key of ``CODES``.
        metadata: the error's metadata.
        **values: what the message's ``{placeholders}`` stand for.
    """
    group, _, code = name.partition(".")
    return ActorError(group, code, CODES[name].message.format_map(values), metadata)


def internal_error(message: str = INTERNAL_MESSAGE) -> ActorError:
    """The error that stands for an exception nobody expected."""
    return ActorError("rivetkit", "internal_error", message)


def invalid_request(message: str, metadata: object = None) -> ActorError:
    """The caller sent something that cannot be understood; the message says what."""
    return ActorError("actor", "invalid_request", message, metadata)


def not_found() -> ActorError:
    """There is no such actor."""
    return make("actor.not_found")


def route_not_found(path: str) -> ActorError:
    """There is an actor, but nothing at this path of it."""
    message = f"Actor route '{path}' was not found."
    return ActorError("actor", "not_found", message, {"id": path, "resource": "route"})


def method_not_allowed(method: str, path: str) -> ActorError:
    """There is something at this path, for another HTTP method."""
    return make("actor.method_not_allowed", {"method": method, "path": path})


def action_not_found(name: str) -> ActorError:
    """The actor has no action of this name."""
    return make("actor.action_not_found", name=name)


def forbidden(message: str = "Forbidden.", metadata: object = None) -> ActorError:
    """The caller may not do this."""
    return ActorError("auth", "forbidden", message, metadata)


def validation_error(
    issues: Sequence[Mapping[str, object]], message: str = "Actor validation failed."
) -> ActorError:
    """Arguments, parameters, input or a body do not fit their type.

    Args:
        issues: what is wrong, one mapping a mistake (``path``, ``message``, ``code``).
        message: a sentence that names what was checked.
    """
    return ActorError("actor", "validation_error", message, {"issues": list(issues)})


def duplicate_key(key: str, actor_id: str) -> ActorError:
    """``create`` met an actor that has the (serialised) key."""
    metadata = {"existing_actor_id": actor_id, "key": key}
    return make("actor.duplicate_key", metadata, key=key, actor_id=actor_id)


def deadlock(chain: Sequence[str]) -> ActorError:
    """A call waits for an actor that waits for the call; ``chain`` names the actors in between."""
    return make("actor.deadlock", {"chain": list(chain)}, chain=" → ".join(chain))


def state_too_large(size: int, limit: int) -> ActorError:
    """The state is more than the store takes."""
    metadata = {"limit": limit, "size": size}
    return make("actor.state_too_large", metadata, size=size, limit=limit)


def incoming_too_long(size: int, limit: int) -> ActorError:
    """A request or frame is longer than ``max_incoming_message_size``."""
    return make("message.incoming_too_long", {"limit": limit, "size": size})


def outgoing_too_long(size: int, limit: int) -> ActorError:
    """A result or event is longer than ``max_outgoing_message_size``."""
    return make("message.outgoing_too_long", {"limit": limit, "size": size})


def queue_full(limit: int) -> ActorError:
    """As many messages wait as the queue holds."""
    return make("queue.full", {"limit": limit}, limit=limit)


def message_too_large(size: int, limit: int) -> ActorError:
    """A queue message is longer than ``max_queue_message_size``."""
    return make("queue.message_too_large", {"limit": limit, "size": size}, size=size, limit=limit)


def missing_extra(extra: str, module: str) -> NoReturn:
    """Say which extra brings a module that could not be imported.

    Args:
        extra: name of the extra.
        module: name of the module.

    Raises:
        MissingExtraError: always.
    """
    raise MissingExtraError(
        f"`{module}` is not installed. Run: pip install 'rivetless[{extra}]'", name=module
    )
