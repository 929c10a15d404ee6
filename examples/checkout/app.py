"""A checkout that takes money through a payment provider, and one with a mistake in it."""

from pydantic import BaseModel

from examples.checkout import payments
from rivetless import Actor, action, setup


class Sales(BaseModel):
    receipts: dict[str, str] = {}


# --8<-- [start:checkout]
class Checkout(Actor[Sales]):
    """The sales of one shop."""

    @action
    async def pay(self, order: str, amount: int) -> str:
        """Charge for an order and return the receipt's number."""
        if order not in self.state.receipts:
            self.state.receipts[order] = await payments.charge(order, amount)
        return self.state.receipts[order]

    # --8<-- [end:checkout]

    @action
    async def receipts(self) -> dict[str, str]:
        """Return the receipts by order."""
        return self.state.receipts


# --8<-- [start:mistake]
class NumberedCheckout(Actor[Sales]):
    """Numbers its charges. What is wrong with that?"""

    @action
    async def pay(self, order: str, amount: int) -> str:
        """Charge for an order and return the receipt's number."""
        if order not in self.state.receipts:
            number = len(self.state.receipts) + 1
            self.state.receipts[order] = await payments.charge(f"sale-{number}", amount)
        return self.state.receipts[order]

    # --8<-- [end:mistake]

    @action
    async def receipts(self) -> dict[str, str]:
        """Return the receipts by order."""
        return self.state.receipts


registry = setup(use=[Checkout, NumberedCheckout])
