"""``Cells``: the actors that a process knows, found by address or by id.

An actor is met when a command first names it. When there are too many, the one that was used
longest ago is forgotten; where it matters to its class, it is put to sleep first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rivetless import errors
from rivetless.keys import Address, is_reserved
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ById, ByKey, Target
from rivetless.runtime.steps import tick

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Head


class Cells:
    """The cells of one process. One for each runtime.

    Args:
        runtime: the process.
        most: how many actors it keeps in memory.
    """

    def __init__(self, runtime: Runtime, most: int) -> None:
        self._runtime = runtime
        self._most = most
        self._cells: OrderedDict[Address, Cell] = OrderedDict()
        self._addresses: dict[str, Address] = {}

    def __iter__(self) -> Iterator[Cell]:
        return iter(list(self._cells.values()))

    def __len__(self) -> int:
        return len(self._cells)

    # -- finding ----------------------------------------------------------------------------------

    async def definition_of(self, target: Target) -> ActorDefinition:
        """Return the definition of the actor a command is for.

        Raises:
            ActorError: there is no such life, or no class of that name.
        """
        if isinstance(target, ByKey):
            name = target.address.name
        else:
            name = (await self._address_of(target)).name
        definition = self._runtime.definitions.get(name)
        if definition is None:
            raise errors.make("actor.not_registered", name=name)
        return definition

    async def _address_of(self, target: ById) -> Address:
        address = self._addresses.get(target.actor_id)
        if address is None:
            try:
                head = await self._runtime.store.load(target.actor_id)
            except ValueError:
                head = None
            if head is None or head.destroyed_at is not None:
                raise errors.not_found()
            address = head.address
            if is_reserved(address.namespace):
                raise errors.not_found()
            self._remember(target.actor_id, address)
        if target.namespace is not None and address.namespace != target.namespace:
            raise errors.not_found()
        return address

    async def of(self, target: Target) -> Cell:
        """Return the cell of an actor, an empty one if the process has not met it."""
        if isinstance(target, ByKey):
            address = target.address
        else:
            address = await self._address_of(target)
        cell = self._cells.get(address)
        if cell is not None:
            self._cells.move_to_end(address)
            return cell
        runtime = self._runtime
        cell = self._cells[address] = Cell(
            runtime.definitions[address.name],
            address,
            runtime.store,
            runtime.effects.let_out,
            runtime.committed,
        )
        if len(self._cells) > self._most:
            self._forget_one()
        return cell

    def known(self, actor_id: str) -> Cell | None:
        """Return the cell of a life that this process has met and remembers."""
        address = self._addresses.get(actor_id)
        cell = None if address is None else self._cells.get(address)
        return cell if cell is not None and cell.met and cell.actor_id == actor_id else None

    async def met(self, head: Head, began: int) -> Cell:
        """Return the cell of an actor whose head was read, ``began`` being a tick before that."""
        self._addresses[head.actor_id] = head.address
        cell = await self.of(ByKey(head.address))
        cell.offer(head, began)
        return cell

    # -- remembering ------------------------------------------------------------------------------

    def listens(self, cell: Cell) -> None:
        """Hints about an actor matter here from now on: make sure that its id leads to it."""
        if cell.met:
            self._remember(cell.actor_id, cell.address)

    def _remember(self, actor_id: str, address: Address) -> None:
        if len(self._addresses) > 2 * self._most:
            # Ids of lives that ended elsewhere are noticed by nobody.
            del self._addresses[next(iter(self._addresses))]
        self._addresses[actor_id] = address

    def ended(self, actor_id: str) -> None:
        """A life has ended: its id leads nowhere any more."""
        self._addresses.pop(actor_id, None)

    def used(self, cell: Cell) -> None:
        """Note that a turn on the cell has ended; arm the sleep of actors that care."""
        cell.used = tick()
        if cell.quiet is not None and not cell.running:
            cell.quiet.set_result(None)
            cell.quiet = None
        if cell.idle_timer is None and cell.awake and cell.definition.sleeps:
            self._arm_sleep(cell)

    def _arm_sleep(self, cell: Cell) -> None:
        runtime, used = self._runtime, cell.used

        def fire() -> None:
            cell.idle_timer = None
            if cell.used != used or not cell.idle:
                if cell.awake:
                    self._arm_sleep(cell)
            elif cell.awake:
                runtime.begin(runtime.lifecycle.sleep(cell))

        cell.idle_timer = runtime.clock.call_later(cell.definition.options.sleep_timeout, fire)

    # -- forgetting -------------------------------------------------------------------------------

    def _forget_one(self) -> None:
        """Forget the actor that was used longest ago, if nothing is under way there."""
        for cell in self._cells.values():
            if not cell.idle or cell.lock.locked() or cell.tenure.stopped is not None:
                continue
            if cell.awake and cell.definition.sleeps:
                self._runtime.begin(self._sleep_and_forget(cell))
            else:
                self._forget(cell)
            return

    async def _sleep_and_forget(self, cell: Cell) -> None:
        await self._runtime.lifecycle.sleep(cell)
        if cell.idle and not cell.awake and not cell.lock.locked():
            self._forget(cell)

    def _forget(self, cell: Cell) -> None:
        if self._cells.pop(cell.address, None) is not None and cell.met:
            self._addresses.pop(cell.actor_id, None)
