"""Actors that pages of the documentation show; ``test_snippets.py`` runs them."""

from pydantic import BaseModel

from rivetless import Actor, Client, UserError, action

charged: list[str] = []


async def charge(amount: int, idempotency_key: str) -> str:
    """Stand for a payment service."""
    charged.append(idempotency_key)
    return f"receipt-{amount}"


class OrderState(BaseModel):
    amount: int = 20
    receipt: str | None = None
    shipped: bool = False


class Order(Actor[OrderState]):
    # --8<-- [start:turn-id]
    @action
    async def pay(self) -> str:
        """Safe to run again: the payment service knows the key."""
        receipt = await charge(self.state.amount, idempotency_key=self.turn_id)
        self.state.receipt = receipt
        return receipt

    # --8<-- [end:turn-id]
    # --8<-- [start:once]
    @action
    async def pay_once(self) -> str:
        """For services that know no keys: the receipt is stored before the turn goes on."""
        self.state.receipt = await self.once("charge", self.charge)
        return self.state.receipt

    async def charge(self) -> str:
        return await charge(self.state.amount, idempotency_key="")

    # --8<-- [end:once]
    # --8<-- [start:exclusive]
    @action(exclusive=True)
    async def pay_alone(self) -> str:
        """No other turn commits to this order meanwhile, so nothing makes this one run again."""
        if self.state.receipt is not None:
            raise UserError("This order is paid.", code="paid")
        self.state.receipt = await charge(self.state.amount, idempotency_key="")
        return self.state.receipt

    # --8<-- [end:exclusive]
    # --8<-- [start:save-state]
    @action
    async def ship(self) -> None:
        self.state.shipped = True
        await self.save_state()  # durable, and everybody sees it, before the parcel goes
        await charge(0, idempotency_key=self.turn_id)

    # --8<-- [end:save-state]


# --8<-- [start:idempotency-key]
async def pay(client: Client, number: str, request_id: str) -> str:
    """Pay an order once, however often the request is sent."""
    order = client.get_or_create(Order, number)
    return await client.with_options(order, idempotency_key=request_id).pay()


# --8<-- [end:idempotency-key]
