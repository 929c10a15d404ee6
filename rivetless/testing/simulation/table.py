"""The production store over a simulated table: what goes wrong does so at each request."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rivetless.aws.client import AnswerLost, Client, NotSent, Payload, ServiceError
from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.store.dynamodb.store import DynamoDBStore
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.recorder import commit_applied
from rivetless.testing.simulation.stores import SimStore
from rivetless.testing.simulation.weather import Fault, menu

if TYPE_CHECKING:
    from rivetless.testing.simulation.choices import Choices
    from rivetless.testing.simulation.network import Network
    from rivetless.testing.simulation.recorder import Recorder
    from rivetless.testing.simulation.vitality import Vitality
    from rivetless.testing.simulation.weather import Weather

__all__ = ["DynamoDBBackend"]

TABLE: Final = "actors"

_ALWAYS: Final = (
    Fault.DELAYED,
    Fault.REFUSED,
    Fault.THROTTLED,
    Fault.UNACKNOWLEDGED,
    Fault.DIED_BEFORE,
    Fault.DIED_AFTER,
    Fault.FROZE_BEFORE,
    Fault.FROZE_AFTER,
)
READING: Final = menu(*_ALWAYS)
WRITING: Final = menu(*_ALWAYS, Fault.VANISHED, Fault.LATE, Fault.DUPLICATED)
LOOKING: Final = menu(Fault.STALE)

_READS: Final = frozenset({"GetItem", "Query", "BatchGetItem"})
_COMMITS: Final = frozenset({"PutItem", "UpdateItem", "TransactWriteItems"})


def _not_sent() -> Exception:
    return NotSent("injected: nothing was sent")


def _answer_lost() -> Exception:
    return AnswerLost("injected: the answer was lost")


def _throttled() -> Exception:
    code = "ProvisionedThroughputExceededException"
    return ServiceError(code, 400, "injected: no capacity", {})


PORTS: Final = {
    operation: Port(
        f"dynamodb.{operation}",
        READING if operation in _READS else WRITING,
        _not_sent,
        _answer_lost,
        _throttled,
        fails=True,
    )
    for operation in (*sorted(_READS | _COMMITS), "DeleteItem", "BatchWriteItem")
}


class _FarClient(Client):
    """The service as one process reaches it."""

    def __init__(
        self, service: SimulatedDynamoDB, name: str, vitality: Vitality, network: Network
    ) -> None:
        self._service = service
        self._name = name
        self._vitality = vitality
        self._network = network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to close."""

    async def call(self, operation: str, payload: Payload) -> Payload:
        async def arrive() -> Payload:
            answer = self._service.answer(operation, payload)
            if operation in _COMMITS:
                commit_applied(transaction=operation == "TransactWriteItems")
            return answer

        return await self._network.carry(
            self._vitality,
            self._name,
            PORTS[operation],
            arrive,
            # With its token a transaction counts once, however often it arrives.
            again=operation == "TransactWriteItems",
        )


class DynamoDBBackend:
    """One table, to which every process has a store and a way of its own.

    Args:
        clock: the right time.
        choices: decides what readers have not seen.
        weather: how often they have not.
        network: lies between processes and the service.
        recorder: is told of commits.
    """

    def __init__(
        self,
        clock: Clock,
        choices: Choices,
        weather: Weather,
        network: Network,
        recorder: Recorder,
    ) -> None:
        self._choices = choices
        self._weather = weather
        self._network = network
        self._recorder = recorder
        self._service = SimulatedDynamoDB(clock, unseen=self._unseen)
        self._plain = DynamoDBStore(
            TABLE, client=self._service, clock=clock, rng=choices.random("plain store")
        )

    def _unseen(self, site: str, most: int) -> int:
        """Choose how many of the latest changes a reader has not seen."""
        if not most:
            return 0
        draw = self._choices.draw(f"dynamodb {site}")
        if self._weather.pick(LOOKING, draw) is None:
            return 0
        self._network.note(Fault.STALE, draw.id, "dynamodb", site)
        return 1 + int(draw.first * most)

    @property
    def plain(self) -> Store:
        """A store to whose requests nothing happens."""
        return self._plain

    async def open(self) -> None:
        """Make the table."""
        deploy(self._service, TABLE)
        await self._plain.__aenter__()

    async def store_for(self, name: str, vitality: Vitality, clock: Clock) -> Store:
        """Return a store for a process."""
        client = _FarClient(self._service, name, vitality, self._network)
        rng = self._choices.random(f"{name} store")
        store = await DynamoDBStore(TABLE, client=client, clock=clock, rng=rng).__aenter__()
        return SimStore(store, name, vitality, None, self._recorder)

    async def close(self) -> None:
        """There is nothing to close: what is still under way never ends."""
