"""What the keywords of an actor class set: time-outs, limits, appearance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorOptions:
    """An actor's options. Times are seconds.

    Attributes:
        action_timeout: how long an action, ``on_request`` or ``on_before_action_response`` may take.
        create_state_timeout: how long ``create_state`` may take.
        create_vars_timeout: how long ``create_vars`` may take.
        create_conn_state_timeout: how long ``create_conn_state`` may take.
        on_create_timeout: how long ``on_create`` may take.
        on_wake_timeout: how long ``on_wake`` may take.
        on_migrate_timeout: how long ``on_migrate`` may take.
        on_before_connect_timeout: how long ``on_before_connect`` may take; also ``can_subscribe``.
        on_connect_timeout: how long ``on_connect`` and ``on_disconnect`` may take.
        sleep_timeout: idle time after which ``on_sleep`` runs.
        sleep_grace_period: how long the whole stop sequence (``on_sleep``, ``on_destroy``, background work)
            may take.
    """

    action_timeout: float = 60.0
    create_state_timeout: float = 5.0
    create_vars_timeout: float = 5.0
    create_conn_state_timeout: float = 5.0
    on_create_timeout: float = 5.0
    on_wake_timeout: float = 5.0
    on_migrate_timeout: float = 30.0
    on_before_connect_timeout: float = 5.0
    on_connect_timeout: float = 5.0
    sleep_timeout: float = 30.0
    sleep_grace_period: float = 15.0
