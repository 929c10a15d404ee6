"""Rivet Actors for Python, serverless-first.

The root is the public face: it re-exports what a user writes with. It may import from every
package, as long as that loads neither Starlette nor boto3.
"""

from typing import TYPE_CHECKING

from rivetless.actor.abort import AbortSignal
from rivetless.actor.base import Actor
from rivetless.actor.context import Conn, Conns, RawWebSocket
from rivetless.actor.cron import CronJob, CronRun
from rivetless.actor.dead_letters import DeadLetter
from rivetless.actor.declare import ActionGroup, Event, action
from rivetless.actor.mailbox import Mailbox
from rivetless.actor.queue import Message, Queue
from rivetless.actor.schedule import FireInfo, ScheduledAction
from rivetless.errors import ActorAborted, ActorError, DefinitionError, UserError
from rivetless.registry import Registry, setup

if TYPE_CHECKING:
    from rivetless.client import Client

__version__ = "0.1.0"

__all__ = [
    "AbortSignal",
    "ActionGroup",
    "Actor",
    "ActorAborted",
    "ActorError",
    "Client",
    "Conn",
    "Conns",
    "CronJob",
    "CronRun",
    "DeadLetter",
    "DefinitionError",
    "Event",
    "FireInfo",
    "Mailbox",
    "Message",
    "Queue",
    "RawWebSocket",
    "Registry",
    "ScheduledAction",
    "UserError",
    "__version__",
    "action",
    "setup",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # A process that only serves actors does without.
        if name == "Client":
            from rivetless.client import Client

            return Client
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
