"""The error classes, the table of codes, and what clients may see."""

import copy
import pickle

import pytest

from rivetless import errors
from rivetless.errors import (
    CODES,
    GROUPS,
    INTERNAL_MESSAGE,
    ActorAborted,
    ActorError,
    ActorSpecifier,
    MissingExtraError,
    UserError,
    public_error,
    status_of,
)

WHERE = ActorSpecifier("a" * 30, 1, "k")


def error(name: str, metadata: object = None) -> ActorError:
    group, code = name.split(".")
    return ActorError(group, code, "secret", metadata, actor=WHERE)


def test_user_error_is_an_actor_error_of_the_users_group() -> None:
    raised = UserError("Bad token", code="bad_token", metadata={"hint": 1})
    assert isinstance(raised, ActorError)
    assert (raised.group, raised.code, raised.message) == ("user", "bad_token", "Bad token")
    assert raised.metadata == {"hint": 1}
    assert UserError("x").code == "user_error"


def test_errors_read_well() -> None:
    raised = ActorError("queue", "full", "Queue is full.", {"limit": 1}, actor=WHERE)
    assert str(raised) == "queue.full: Queue is full."
    assert raised.name == "queue.full"
    assert repr(raised).startswith(
        "ActorError('queue', 'full', 'Queue is full.', {'limit': 1}, actor=ActorSpecifier("
    )
    assert repr(ActorError("a", "b", "c")) == "ActorError('a', 'b', 'c')"


@pytest.mark.parametrize(
    "original",
    [
        ActorError("a", "b", "c", [1], actor=WHERE),
        ActorError(group="a", code="b", message="c"),
        UserError("x", code="y", metadata={"z": 1}),
    ],
)
@pytest.mark.parametrize("how", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_survive_copying_and_pickling(original: ActorError, how: object) -> None:
    assert callable(how)
    twin = how(original)
    assert type(twin) is type(original)
    assert vars(twin) == vars(original)
    assert str(twin) == str(original)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("auth.forbidden", 403),
        ("actor.not_found", 404),
        ("actor.action_not_found", 404),
        ("actor.method_not_allowed", 405),
        ("actor.action_timed_out", 408),
        ("actor.invalid_request", 400),
        ("message.incoming_too_long", 400),
        ("queue.full", 400),
        ("queue.anything", 400),
        ("user.whatever", 400),
        ("actor.whatever", 500),
        ("nobody.knows", 500),
        ("rivetkit.internal_error", 500),
        # Gateway, protocol section 3.5.
        ("guard.no_route", 404),
        ("guard.invalid_request_body", 413),
        ("guard.rate_limit", 429),
        ("guard.upstream_error", 502),
        ("guard.retry_attempts_exceeded", 502),
        ("guard.routing_error", 502),
        ("guard.invalid_response_body", 502),
        ("guard.service_unavailable", 503),
        ("guard.actor_ready_timeout", 503),
        ("guard.actor_stopped_while_waiting", 503),
        ("guard.actor_wake_retries_exceeded", 503),
        ("guard.tunnel_request_aborted", 503),
        ("guard.tunnel_response_closed", 503),
        ("guard.request_timeout", 504),
        ("guard.tunnel_message_timeout", 504),
        ("guard.gateway_response_start_timeout", 504),
        ("pegboard.route_resolve_query_timeout", 504),
        ("guard.query_invalid_params", 400),
        # Management, section 2.6.
        ("api.not_found", 404),
        ("api.unauthorized", 401),
        ("api.forbidden", 403),
        ("api.bad_request", 400),
        ("namespace.not_found", 400),
        ("validation.invalid_input", 400),
        ("actor.duplicate_key", 400),
        ("actor.input_too_large", 400),
        ("inspector.unauthorized", 401),
        ("actor.run_handler_unavailable", 409),
        # Ours.
        ("actor.restarting", 503),
        ("actor.conflict", 409),
        ("actor.deadlock", 409),
        ("actor.interrupted", 500),
        ("actor.outcome_unknown", 504),
        ("actor.idempotency_mismatch", 422),
        ("actor.state_too_large", 413),
        ("engine.not_served", 501),
    ],
)
def test_status(name: str, status: int) -> None:
    assert status_of(error(name)) == status


PUBLIC = [
    "user.anything",
    "auth.forbidden",
    *(f"actor.{code}" for code in ("not_found", "action_not_found", "method_not_allowed")),
    *(f"actor.{code}" for code in ("action_timed_out", "aborted")),
    "actor_runtime_socket.closed",
    "message.incoming_too_long",
    "message.outgoing_too_long",
    "schedule.anything",
    "kv.anything",
    *(f"queue.{code}" for code in ("full", "message_too_large", "message_invalid")),
    *(f"queue.{code}" for code in ("invalid_payload", "invalid_completion_payload")),
    *(f"queue.{code}" for code in ("already_completed", "previous_message_not_completed")),
    *(f"queue.{code}" for code in ("complete_not_configured", "timed_out")),
    # Ours, and those that the gateway makes itself.
    *(f"actor.{code}" for code in ("validation_error", "invalid_request", "conflict")),
    *(f"actor.{code}" for code in ("deadlock", "interrupted", "outcome_unknown", "restarting")),
    *(f"actor.{code}" for code in ("idempotency_mismatch", "state_too_large", "key_too_large")),
    "guard.service_unavailable",
    "engine.not_served",
]
HIDDEN = [
    "actor.callback_timed_out",
    "actor.not_configured",
    "actor.state_not_enabled",
    "actor.unheard_of",
    "auth.other",
    "message.other",
    "queue.completion_waiter_dropped",
    "queue.other",
    "sqlite.closed",
    "rivetkit.internal_error",
    "mine.own",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_errors_are_shown_as_they_are(name: str) -> None:
    raised = error(name, {"a": 1})
    assert public_error(raised) is raised


@pytest.mark.parametrize("name", HIDDEN)
def test_other_errors_keep_only_group_and_code(name: str) -> None:
    raised = error(name, {"a": 1})
    shown = public_error(raised)
    assert (shown.name, shown.message, shown.metadata) == (name, INTERNAL_MESSAGE, None)
    assert shown.actor == WHERE
    assert public_error(raised, expose=True) is raised


@pytest.mark.parametrize("raised", [ValueError("secret"), KeyError(), BaseException("secret")])
def test_other_exceptions_are_masked(raised: BaseException) -> None:
    shown = public_error(raised)
    assert (shown.name, shown.message) == ("rivetkit.internal_error", INTERNAL_MESSAGE)
    assert "secret" not in repr(shown)


def test_other_exceptions_can_be_exposed() -> None:
    assert public_error(ValueError("what"), expose=True).message == "ValueError: what"
    assert public_error(KeyError(), expose=True).message == "KeyError"


def test_an_aborted_actor_says_so() -> None:
    assert public_error(ActorAborted()).name == "actor.aborted"
    assert not issubclass(ActorAborted, Exception)


def test_every_code_has_a_group_and_a_status() -> None:
    for name, code in CODES.items():
        group, dot, rest = name.partition(".")
        assert group in GROUPS
        assert dot
        assert rest.islower()
        assert 400 <= code.status <= 504


def test_codes_that_the_official_client_retries_promise_that_nothing_happened() -> None:
    # An unknown outcome must not be among them, or the client would repeat what took effect.
    retried = {"actor.restarting", "actor.starting", "actor.stopping", "guard.service_unavailable"}
    assert "actor.outcome_unknown" not in retried
    assert all(status_of(errors.make(name)) == 503 for name in retried)


@pytest.mark.parametrize(
    ("made", "name", "message", "metadata"),
    [
        (
            errors.action_not_found("nope"),
            "actor.action_not_found",
            "Action `nope` was not found.",
            None,
        ),
        (errors.not_found(), "actor.not_found", "The actor does not exist or was destroyed.", None),
        (
            errors.route_not_found("/nope"),
            "actor.not_found",
            "Actor route '/nope' was not found.",
            {"id": "/nope", "resource": "route"},
        ),
        (
            errors.method_not_allowed("PUT", "/action/x"),
            "actor.method_not_allowed",
            "Method not allowed",
            {"method": "PUT", "path": "/action/x"},
        ),
        (errors.forbidden(), "auth.forbidden", "Forbidden.", None),
        (
            errors.validation_error([{"path": "a"}]),
            "actor.validation_error",
            "Actor validation failed.",
            {"issues": [{"path": "a"}]},
        ),
        (
            errors.duplicate_key("dup", "id1"),
            "actor.duplicate_key",
            "Actor key 'dup' already in use for actor 'id1'",
            {"existing_actor_id": "id1", "key": "dup"},
        ),
        (
            errors.deadlock(["a", "b", "a"]),
            "actor.deadlock",
            "The actor waits for itself: a → b → a.",
            {"chain": ["a", "b", "a"]},
        ),
        (
            errors.state_too_large(5, 4),
            "actor.state_too_large",
            "Actor state too large (5 bytes). Limit is 4 bytes.",
            {"limit": 4, "size": 5},
        ),
        (
            errors.incoming_too_long(2, 1),
            "message.incoming_too_long",
            "Incoming message too long",
            {"limit": 1, "size": 2},
        ),
        (
            errors.outgoing_too_long(2, 1),
            "message.outgoing_too_long",
            "Outgoing message too long",
            {"limit": 1, "size": 2},
        ),
        (
            errors.queue_full(3),
            "queue.full",
            "Queue is full. Limit is 3 messages.",
            {"limit": 3},
        ),
        (
            errors.message_too_large(9, 8),
            "queue.message_too_large",
            "Queue message too large (9 bytes). Limit is 8 bytes.",
            {"limit": 8, "size": 9},
        ),
    ],
)
def test_constructors(made: ActorError, name: str, message: str, metadata: object) -> None:
    assert (made.name, made.message, made.metadata) == (name, message, metadata)


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'rivetless\[cbor\]'") as caught:
        errors.missing_extra("cbor", "cbor2")
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "cbor2"
