"""What the keywords of an actor class set: time-outs and limits.

RivetKit's other options are answered with the reason why they are not here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from rivetless.actor.names import did_you_mean
from rivetless.errors import DefinitionError
from rivetless.frozen import frozen


@frozen(kw_only=True)
class ActorOptions:
    """An actor's options. Times are seconds; class keywords also take a ``timedelta``.

    Attributes:
        action_timeout: how long an action, ``on_request`` or ``on_before_action_response`` may
            take.
        create_state_timeout: how long ``create_state`` may take.
        create_vars_timeout: how long ``create_vars`` may take.
        create_conn_state_timeout: how long ``create_conn_state`` may take.
        on_create_timeout: how long ``on_create`` may take.
        on_migrate_timeout: how long ``on_migrate`` may take.
        on_wake_timeout: how long ``on_wake`` may take.
        on_before_connect_timeout: how long ``on_before_connect`` or ``can_subscribe`` may take.
        on_connect_timeout: how long ``on_connect`` or ``on_disconnect`` may take, and the
            setting up of a connection as a whole.
        sleep_timeout: idle time after which ``on_sleep`` runs (a policy, best effort: actors
            without the hook cost nothing while nobody calls them).
        sleep_grace_period: how long all that happens at the end may take together: ``on_sleep``,
            ``on_destroy``, background work.
        max_queue_size: how many messages may wait in the actor's queues together.
        max_queue_message_size: how many bytes a message's body may have.
        max_schedules: how many scheduled actions and recurring jobs the actor may have together.
    """

    action_timeout: float = 60.0
    create_state_timeout: float = 5.0
    create_vars_timeout: float = 5.0
    create_conn_state_timeout: float = 5.0
    on_create_timeout: float = 5.0
    on_migrate_timeout: float = 30.0
    on_wake_timeout: float = 5.0
    on_before_connect_timeout: float = 5.0
    on_connect_timeout: float = 5.0
    sleep_timeout: float = 30.0
    sleep_grace_period: float = 15.0
    max_queue_size: int = 1000
    max_queue_message_size: int = 65_536
    max_schedules: int = 1000


OPTION_NAMES: Final = tuple(field.name for field in dataclasses.fields(ActorOptions))

_COUNTS: Final = frozenset(name for name in OPTION_NAMES if name.startswith("max_"))

_IDLE: Final = "an actor holds no process while nobody calls it, so there is nothing to keep awake"
_GRACE: Final = "`sleep_grace_period` bounds everything that happens at the end"
_SOCKETS: Final = "the host watches its sockets by itself"
_PRELOAD: Final = "RivetKit ignores it too"

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "state_save_interval": "every turn commits its state before it answers",
        "no_sleep": _IDLE,
        "can_hibernate_websocket": "every connection outlives the process that serves it",
        "connection_liveness_timeout": _SOCKETS,
        "connection_liveness_interval": _SOCKETS,
        "enable_actor_runtime_socket": "there is no such socket",
        "on_sleep_timeout": _GRACE,
        "on_destroy_timeout": _GRACE,
        "wait_until_timeout": _GRACE,
        "preload_max_workflow_bytes": _PRELOAD,
        "preload_max_connections_bytes": _PRELOAD,
        "max_incoming_message_size": "it is an option of `setup`",
        "max_outgoing_message_size": "it is an option of `setup`",
    }
)
"""RivetKit's options that rivetless does not take, and why."""


def seconds(value: object) -> float:
    """Return a time as seconds.

    Raises:
        ValueError: it is not a positive, finite time.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"takes seconds or a timedelta, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"takes a time above zero, not {value!r}")
    return float(value)


def count(value: object) -> int:
    """Return a limit.

    Raises:
        ValueError: it is not a whole number above zero.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"takes a number above zero, not {value!r}")
    return value


def read_options(owner: str, base: ActorOptions, given: Mapping[str, object]) -> ActorOptions:
    """Return ``base`` with an actor class's keywords applied.

    Args:
        owner: the class's name, for messages.
        base: the parent's options.
        given: the keywords; those that are None are not set.

    Raises:
        DefinitionError: one is unknown, of no use here, or has a bad value.
    """
    changed: dict[str, Any] = {}
    for name, value in given.items():
        if name not in OPTION_NAMES:
            reason = REFUSED.get(name)
            if reason is not None:
                raise DefinitionError(f"{owner}: leave `{name}` out: {reason}.")
            hint = did_you_mean(name, (*OPTION_NAMES, "name", "display_name", "icon", "abstract"))
            raise DefinitionError(f"{owner}: there is no option `{name}`.{hint}")
        if value is None:
            continue
        try:
            changed[name] = count(value) if name in _COUNTS else seconds(value)
        except ValueError as error:
            raise DefinitionError(f"{owner}: `{name}` {error}.") from None
    return dataclasses.replace(base, **changed) if changed else base
