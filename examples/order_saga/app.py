"""An order that reserves, charges and ships, or undoes what it has done."""

from pydantic import BaseModel

from rivetless import Actor, CriticalError, Event, WorkflowContext, action, setup, workflow


class Order(BaseModel):
    item: str
    amount: int
    card: str = "good"


class OrderState(BaseModel):
    order: Order
    status: str = "new"
    log: list[str] = []


# --8<-- [start:saga]
class Purchase(Actor[OrderState]):
    """One order, from its creation to its end."""

    changed = Event[str]()

    async def create_state(self, input: Order) -> OrderState:
        return OrderState(order=input)

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        ctx.rollback_checkpoint("begin")
        reservation = await ctx.step("reserve", self.reserve, rollback=self.release)
        payment = await ctx.step("charge", self.charge, rollback=self.refund)
        await ctx.step("ship", self.ship, reservation, payment, retries=5, timeout=10)

    async def reserve(self) -> str:
        self.state.log.append(f"reserved {self.state.order.item}")
        return f"reservation-{self.turn_id[:8]}"

    async def release(self, reservation: str) -> None:
        self.state.log.append(f"released {self.state.order.item}")
        self.state.status = "cancelled"

    async def charge(self) -> int:
        if self.state.order.card == "stolen":
            raise CriticalError("the card is stolen")  # trying again is no use
        self.state.log.append(f"charged {self.state.order.amount}")
        return self.state.order.amount

    async def refund(self, amount: int) -> None:
        self.state.log.append(f"refunded {amount}")

    async def ship(self, reservation: str, amount: int) -> None:
        if self.state.order.item == "sold out":
            raise RuntimeError("nothing left to ship")
        self.state.log.append("shipped")
        self.state.status = "shipped"
        self.broadcast(self.changed, "shipped")

    # --8<-- [end:saga]

    @action
    async def look(self) -> OrderState:
        """Return the order and what became of it."""
        return self.state


registry = setup(use=[Purchase])
