"""When a call is tried again, and how long to wait: the official client's rules.

Three reasons, each with a patience of its own: the actor is between two lives of its process
(*lifecycle*), a key leads to an actor that is gone or not there yet (*stale*), or it could not be
scheduled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from rivetless.client.calls import ById, ByKey, Target
from rivetless.clock import Clock, sleep
from rivetless.errors import ActorError, not_found
from rivetless.frozen import frozen

__all__ = ["LOST", "NO_RETRIES", "RetryPolicy", "is_lifecycle", "is_stale", "retrying"]

T = TypeVar("T")

UNREACHED: Final = "client.connection_failed"
"""The server was not reached, so nothing can have happened there."""
LOST: Final = "client.answer_lost"
"""The call was sent and its answer did not come: whether it ran is not known."""

_LIFECYCLE: Final = frozenset(
    {
        "actor.restarting",
        "guard.actor_stopped_while_waiting",
        "guard.actor_wake_retries_exceeded",
        "guard.gateway_response_start_timeout",
        "guard.service_unavailable",
        "guard.tunnel_message_timeout",
        "guard.tunnel_request_aborted",
        "guard.tunnel_response_closed",
        UNREACHED,
    }
)
_STALE: Final = frozenset(
    {"destroying", "dropped_reply", "not_configured", "not_found", "starting", "stopping"}
)
_SCHEDULING: Final = frozenset({"guard.actor_ready_timeout", "guard.actor_runner_failed"})


@frozen(kw_only=True)
class RetryPolicy:
    """How often a call is tried. Times are seconds.

    Attributes:
        lifecycle_tries: tries while the actor restarts or the gateway cannot reach it.
        lifecycle_pause: the first pause between them; it doubles.
        lifecycle_max_pause: the longest one.
        get_tries: tries of a ``get`` handle while there is no such actor.
        get_or_create_tries: the same for ``get_or_create``.
        stale_pause: the pause between those.
        idempotent: send an idempotency key with the first try too, and try again when an answer got
            lost on its way. A rivetless server then stores every call's answer and runs none twice;
            other servers ignore the key, so leave this off with them. Without it only later tries
            carry a key, since a rivetless server asks for another try only while nothing has
            happened.
    """

    lifecycle_tries: int = 5
    lifecycle_pause: float = 0.025
    lifecycle_max_pause: float = 0.2
    get_tries: int = 24
    get_or_create_tries: int = 60
    stale_pause: float = 0.1
    idempotent: bool = False

    def stale_tries(self, target: Target) -> int:
        """Return how often a call to ``target`` is tried while its actor is not there."""
        if isinstance(target, ByKey):
            return self.get_or_create_tries if target.create else self.get_tries
        return 1


NO_RETRIES: Final = RetryPolicy(lifecycle_tries=1, get_tries=1, get_or_create_tries=1)
"""For transports that know by themselves when to try again."""


def is_lifecycle(error: ActorError) -> bool:
    """Whether the call met an actor between two processes and nothing has happened yet."""
    if error.name in _LIFECYCLE:
        return True
    # How older servers say it.
    return error.name == "actor.internal_error" and error.message == "Actor is stopping"


def is_stale(error: ActorError) -> bool:
    """Whether the actor is gone, going or not there yet; its key may lead to a new one soon."""
    return error.group == "actor" and (error.code in _STALE or error.code.startswith("destroyed_"))


def _is_overload(error: ActorError) -> bool:
    metadata: Any = error.metadata
    try:
        where = metadata["channel"], metadata["operation"]
    except (LookupError, TypeError):
        return False
    return error.name == "actor.overloaded" and where == ("dispatch_inbox", "dispatch_queue_send")


async def retrying(
    attempt: Callable[[], Awaitable[T]],
    target: Target | None,
    policy: RetryPolicy,
    clock: Clock,
    *,
    queue: bool = False,
    keyed: bool = False,
    once: bool = False,
) -> T:
    """Make a call, again where the rules say so.

    Args:
        attempt: makes the call once.
        target: which actor; None if a missing one should not be waited for.
        policy: how often.
        clock: for the pauses.
        queue: it is a queue send, which is also tried again when the queue's inbox is full.
        keyed: it carries an idempotency key from the first try on, so a lost answer can be asked
            for.
        once: it must not be sent twice: only a server that was not reached is tried again.
    """
    pause = policy.lifecycle_pause
    for tries_left in range(policy.lifecycle_tries - 1, -1, -1):
        try:
            return await _while_stale(attempt, target, policy, clock, queue=queue)
        except ActorError as error:
            again = is_lifecycle(error) or (keyed and error.name == LOST)
            if once:
                again = error.name == UNREACHED
            if not tries_left or not again:
                raise
        await sleep(clock, pause)
        pause = min(pause * 2, policy.lifecycle_max_pause)
    raise AssertionError("a policy allows one try at least")


async def _while_stale(
    attempt: Callable[[], Awaitable[T]],
    target: Target | None,
    policy: RetryPolicy,
    clock: Clock,
    *,
    queue: bool,
) -> T:
    tries = 1 if target is None else policy.stale_tries(target)
    for tries_left in range(tries - 1, -1, -1):
        try:
            return await attempt()
        except ActorError as error:
            if error.name == "actor.destroyed_while_waiting_for_ready" and isinstance(target, ById):
                raise not_found() from error
            again = is_stale(error) or error.name in _SCHEDULING or (queue and _is_overload(error))
            if not tries_left or not again:
                raise
        await sleep(clock, policy.stale_pause)
    raise AssertionError("a policy allows one try at least")
