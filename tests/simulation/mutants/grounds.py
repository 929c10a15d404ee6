"""Where mutants are hunted beside the probes: the workloads, and some of them in weather of a kind.

A mutant that shows when one thing happens, and hides behind others that do, is found soonest where
that happens often and nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.weather import RATES, Fault
from tests.simulation.seeds import WORKLOADS
from tests.simulation.workloads.base import Program, Workload
from tests.simulation.workloads.crons import Crons
from tests.simulation.workloads.inboxes import Inbox, Inboxes
from tests.simulation.workloads.lives import Dayfly, Lives, Mayfly
from tests.simulation.workloads.pairs import Shelf, Shelves
from tests.simulation.workloads.registers import Account, Registers
from tests.simulation.workloads.rooms import Hall, Porch, Room, Rooms

DELAYS: Final[Mapping[Fault, float]] = {Fault.DELAYED: 0.3}
"""Everything arrives, much of it late."""

BOTH_WAYS: Final[Mapping[Fault, float]] = {Fault.DELAYED: 0.2, Fault.ANSWER_DELAYED: 0.2}
"""The same, and answers as often as what they answer."""

DEATHS: Final[Mapping[Fault, float]] = {
    Fault.DELAYED: RATES[Fault.DELAYED],
    Fault.REFUSED: 0.1,
    Fault.DIED_BEFORE: 0.05,
    Fault.DIED_AFTER: 0.05,
}
"""Processes die, and some of what they leave fails."""


FEW_DEATHS: Final[Mapping[Fault, float]] = {Fault.DIED_BEFORE: 0.008, Fault.DIED_AFTER: 0.008}
"""A process dies now and then, so that most of them began together."""


ECHOES: Final[Mapping[Fault, float]] = {Fault.DELAYED: 0.1, Fault.DUPLICATED: 0.5}
"""Much of what is sent arrives again, a while later."""


class QuietRooms(Rooms):
    """Rooms without hooks."""

    kinds = (Room,)
    staying = 1.0
    speakers = 2


class Halls(Rooms):
    """Rooms with hooks and a loop."""

    kinds = (Hall,)
    staying = 1.0
    letters = 0.6


class Porches(Rooms):
    """Places with hooks, over which faults last long."""

    kinds = (Porch,)
    staying = 1.0
    lasting = 1.0


MORTALITY: Final[Mapping[Fault, float]] = {Fault.DIED_BEFORE: 0.1, Fault.DIED_AFTER: 0.3}
"""Processes die nearly as soon as they do anything."""


SILENCE: Final[Mapping[Fault, float]] = {Fault.DELAYED: 0.3, Fault.BELL_LOST: 0.5}
"""Everything arrives late, and of the rings half never."""


class Letters(Inboxes):
    """Few messages, and time for those who find them."""

    def programs(self) -> Iterable[Program]:
        return [self.write(f"c{n}") for n in range(2)]

    async def write(self, client: str) -> None:
        """Send some messages, and do nothing for a while."""
        dice = self.dice(client)
        for turn in range(3):
            await self.send(client, Inbox, "a", Inbox.jobs, f"{client}.{turn}")
            await self.pause(dice.choice((0.02, 0.3, 6.0)) * dice.random())
        await self.pause(70.0)


class Crowds(Inboxes):
    """Many who send to one inbox, through many processes."""

    processes = 6

    def programs(self) -> Iterable[Program]:
        return [self.hurry(f"h{n}") for n in range(10)]


class Refusals(Inboxes):
    """Messages that nobody can do."""

    def programs(self) -> Iterable[Program]:
        return [self.insist(f"c{n}") for n in range(2)]

    async def insist(self, client: str) -> None:
        """Ask for what will not be done."""
        for turn in range(2):
            await self.ask_for(client, f"askpoison{client}.{turn}")


class WatchedCrons(Crons):
    """One job, and what happens to it."""

    watched = 1.0


class Dayflies(Lives):
    """Lives that write on waking."""

    kinds = (Dayfly,)


class Echoes(Lives):
    """Lives that end soon after they begin, in one way only."""

    kinds = (Mayfly,)

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(6):
            await self.call(client, Mayfly, "a", dice.choice(("touch", "end")))
            await self.pause(dice.random() * 0.1)


class Readers(Registers):
    """Whoever reads has written meanwhile, and reads again before the first answer is there."""

    processes = 2

    def programs(self) -> Iterable[Program]:
        return [self.client(key) for key in "ab"]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(12):
            first = asyncio.create_task(self.call(client, Account, client, "get"))
            await self.pause(dice.random() * 0.02)
            await self.call(client, Account, client, "add", 1)
            await self.call(client, Account, client, dice.choice(("get", "get_slowly")))
            await first


class CrowdedShelves(Shelves):
    """Some who put the same pairs there and take them away, all at once and in one process."""

    processes = 1

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(3):
            name, value = dice.choice("xy"), int(client[1:]) * 100 + turn
            await asyncio.gather(
                self.call(client, Shelf, "a", "put_quietly", name, value),
                self.call(client, Shelf, "a", "put", name, value + 10),
                self.call(client, Shelf, "a", "drop", name),
            )
            await self.call(client, Shelf, "a", "get", name)


def grounds() -> dict[str, tuple[type[Workload], Deployment]]:
    """Return what is done where, by name."""
    found = {f"workloads.{one.name}": (one, one.deployment()) for one in WORKLOADS}
    for name, workload, faults in (
        ("rooms in delays", QuietRooms, BOTH_WAYS),
        ("halls in delays", Halls, BOTH_WAYS),
        ("lives in delays", Dayflies, BOTH_WAYS),
        ("lives in echoes", Echoes, ECHOES),
        ("readers in delays", Readers, BOTH_WAYS),
        ("crowded shelves in delays", CrowdedShelves, BOTH_WAYS),
        ("porches in few deaths", Porches, FEW_DEATHS),
        ("porches in deaths", Porches, DEATHS),
    ):
        found[name] = workload, replace(workload.deployment(), faults=faults)
    few = Letters.deployment(resident=True)
    found["letters among deaths"] = Letters, replace(few, faults=MORTALITY)
    few = Letters.deployment(resident=False)
    found["letters in silence"] = Letters, replace(few, faults=SILENCE)
    found["crowds in delays"] = Crowds, replace(Crowds.deployment(), faults=DELAYS)
    found["refusals in delays"] = Refusals, replace(Refusals.deployment(), faults=DELAYS)
    found["watched crons"] = WatchedCrons, WatchedCrons.deployment()
    return found
