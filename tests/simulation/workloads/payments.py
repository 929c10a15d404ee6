"""Effects outside: with ``turn_id`` as their key, or within ``once``."""

from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.simulation.checkers import Violation, effects
from rivetless.testing.simulation.history import Effect, Refused
from tests.simulation.workloads.base import Program, Workload, outside


class Paid(BaseModel):
    orders: list[str] = []
    receipts: list[str] = []


class Till(Actor[Paid]):
    """Takes payments from a provider that knows keys."""

    @action
    async def pay(self, order: str) -> int:
        """Charge under the turn's own id."""
        await outside("charge", self.turn_id, order)
        self.state.orders.append(order)
        return len(self.state.orders)

    @action
    async def pay_once(self, order: str) -> int:
        """Charge within ``once``; the receipt is the provider's."""
        receipt = await self.once("charge", lambda: self._charge(order), returns=str)
        self.state.orders.append(order)
        self.state.receipts.append(receipt)
        return len(self.state.orders)

    async def _charge(self, order: str) -> str:
        return await outside("charge", self.turn_id, f"{order}")

    @action
    async def orders(self) -> list[str]:
        """Return what was paid."""
        return self.state.orders


class Payments(Workload):
    """Orders paid with idempotency keys, each tried until it is answered."""

    name = "payments"
    actors = (Till,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(1, 3)):
            order = f"{client}.{turn}"
            way = dice.choice(("pay", "pay_once"))
            await self.call(client, Till, "a", way, order, idempotency_key=order, tries=4)
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        orders = await self.read(Till, "a", "orders")
        calls = [one for one in self.of(Till, "a") if one.call != "orders"]
        self.must(len(set(orders)) == len(orders), f"paid twice: {orders}")
        for call in calls:
            if call.ok:
                self.must(call.args[0] in orders, f"acknowledged and not there: {call}, {orders}")
            elif isinstance(call.outcome, Refused):
                self.must(call.args[0] not in orders, f"refused and there: {call}, {orders}")

        def order(effect: Effect) -> object:
            return effect.value

        # A call that was refused in the end may have been charged: it called before it failed. The
        # provider knows a repeat by its key, so nobody is charged twice.
        effects.exactly_once(
            self.sim.history.effects, calls, lambda one: one.args[0], subject=order, refused=1
        )
        charged = {effect.value for effect in self.sim.history.effects}
        missing = set(orders) - charged
        if missing:
            raise Violation("Orders were booked and never charged:", sorted(missing))
