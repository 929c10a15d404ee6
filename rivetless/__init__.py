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
from rivetless.workflow.context import WorkflowContext
from rivetless.workflow.declare import workflow
from rivetless.workflow.errors import (
    CriticalError,
    EntryInProgressError,
    HistoryDivergedError,
    JoinError,
    RaceError,
    RollbackCheckpointError,
    RollbackError,
    StepExhaustedError,
    StepTimeoutError,
    StepTooLongError,
)
from rivetless.workflow.results import Break, Continue, Failed, Ok, Won, WorkflowEvent

if TYPE_CHECKING:
    from rivetless.client import Client

__version__ = "0.1.0"

__all__ = [
    "AbortSignal",
    "ActionGroup",
    "Actor",
    "ActorAborted",
    "ActorError",
    "Break",
    "Client",
    "Conn",
    "Conns",
    "Continue",
    "CriticalError",
    "CronJob",
    "CronRun",
    "DeadLetter",
    "DefinitionError",
    "EntryInProgressError",
    "Event",
    "Failed",
    "FireInfo",
    "HistoryDivergedError",
    "JoinError",
    "Mailbox",
    "Message",
    "Ok",
    "Queue",
    "RaceError",
    "RawWebSocket",
    "Registry",
    "RollbackCheckpointError",
    "RollbackError",
    "ScheduledAction",
    "StepExhaustedError",
    "StepTimeoutError",
    "StepTooLongError",
    "UserError",
    "Won",
    "WorkflowContext",
    "WorkflowEvent",
    "__version__",
    "action",
    "setup",
    "workflow",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # A process that only serves actors does without.
        if name == "Client":
            from rivetless.client import Client

            return Client
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
