"""Effects outside: with ``turn_id`` as their key, within ``once``, and alone."""

from collections.abc import Iterable, Sequence
from functools import partial

from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.simulation.checkers import Violation, effects
from rivetless.testing.simulation.history import Effect, Ok, Operation, Refused
from rivetless.testing.simulation.weather import Fault
from tests.simulation.workloads.base import Program, Workload, outside, witness, witnessed

FREEZES = (Fault.FROZE_BEFORE, Fault.FROZE_AFTER)
"""What outlasts a lease: who wakes up goes on with what somebody else is doing by now."""

PATIENCE = 4.0
"""Repeats come soon at first, and later than what keeps everybody out for a while."""

LOOKS = 0.6
"""How often somebody looks at what was paid, after an order of theirs."""

WAYS = ("pay", "pay_once", "pay_once_and_ship", "pay_alone")


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
        witness("begins once", order)
        return await outside("charge", self.turn_id, f"{order}")

    @action
    async def pay_once_and_ship(self, order: str) -> int:
        """Fail after the charge, at first: who repeats the call does not charge again."""
        receipt = await self.once("charge", lambda: self._charge(order), returns=str)
        witness("has paid once", order)
        if len(witnessed("has paid once", order)) == 1:
            raise RuntimeError("injected: it cannot be shipped now")
        self.state.orders.append(order)
        self.state.receipts.append(receipt)
        return len(self.state.orders)

    @action(exclusive=True)
    async def pay_alone(self, order: str) -> int:
        """Charge when nobody else does."""
        witness("begins alone", order)
        try:
            return await self.pay(order)
        finally:
            witness("ends alone", order)

    @action
    async def orders(self) -> list[str]:
        """Return what was paid."""
        return self.state.orders


class Payments(Workload):
    """Orders paid with idempotency keys, each tried until it is answered."""

    name = "payments"
    actors = (Till,)

    def programs(self) -> Iterable[Program]:
        if self.dice("queue").random() < 0.15:
            return [self.client(f"c{n}", ("pay_alone",), 0.01) for n in range(3)]
        return [self.client(f"c{n}", WAYS, 0.3) for n in range(self.between(2, 3))]

    async def client(self, client: str, ways: Sequence[str], pause: float) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(1, 3)):
            order, way = f"{client}.{turn}", dice.choice(ways)
            await self.call(
                client, Till, "a", way, order, idempotency_key=order, tries=4, patience=PATIENCE
            )
            await self.pause(dice.random() * pause)
            if self.dice(f"{client} looks {turn}").random() < LOOKS:
                await self.call(client, Till, "a", "orders")

    async def check(self) -> None:
        orders = await self.read(Till, "a", "orders")
        calls = [one for one in self.of(Till, "a") if one.call != "orders"]
        self.check_looks(orders, calls)
        self.must(len(set(orders)) == len(orders), f"paid twice: {orders}")
        for call in calls:
            if call.ok:
                self.must(call.args[0] in orders, f"acknowledged and not there: {call}, {orders}")
            elif isinstance(call.outcome, Refused):
                self.must(call.args[0] not in orders, f"refused and there: {call}, {orders}")

        if not any(self.sim.world.network.counts[fault] for fault in FREEZES):
            self.check_once()
            self.check_alone()

        def order(effect: Effect) -> object:
            return effect.value

        charges = self.seen("charge")

        # A call that was refused in the end may have been charged: it called before it failed. The
        # provider knows a repeat by its key, so nobody is charged twice.
        effects.exactly_once(charges, calls, lambda one: one.args[0], subject=order, refused=1)
        charged = {effect.value for effect in charges}
        missing = set(orders) - charged
        if missing:
            raise Violation("Orders were booked and never charged:", sorted(missing))

    def check_looks(self, orders: list[str], calls: list[Operation]) -> None:
        """Whoever looks sees all that was acknowledged before, and nothing that is gone later."""
        for look in self.calls("orders"):
            if not isinstance(look.outcome, Ok):
                continue
            seen = look.value
            assert isinstance(seen, list)
            for call in calls:
                before = call.order_ended is not None and call.order_ended < look.order
                there = call.args[0] in seen or not (call.ok and before)
                self.must(there, f"acknowledged and not seen: {call}, {look}")
            self.must(seen == orders[: len(seen)], f"seen and gone: {look}, {orders}")

    def check_once(self) -> None:
        """What ``once`` has returned for a key is not done again under it."""
        for begun in self.seen("begins once"):
            paid = [one for one in self.seen("has paid once") if one.key == begun.key]
            early = [one for one in paid if one.order < begun.order]
            if early:
                raise Violation("What was done once is done again:", [*early, begun])

    def check_alone(self) -> None:
        """No two exclusive turns run at a time; those of processes that died do not run."""
        runs: list[tuple[Effect, Effect]] = []
        for begun in self.seen("begins alone"):
            ended = next(filter(partial(_ends, begun), self.seen("ends alone")), None)
            if ended is None:
                continue
            for first, last in runs:
                if (
                    first.key != begun.key
                    and first.order < ended.order
                    and begun.order < last.order
                ):
                    raise Violation("Two exclusive turns overlap:", [first, last, begun, ended])
            runs.append((begun, ended))


def _ends(begun: Effect, ended: Effect) -> bool:
    same = (ended.key, ended.process) == (begun.key, begun.process)
    return same and ended.order > begun.order
