"""What is certain, and how to say what must be."""

import asyncio

from pydantic import BaseModel

from rivetless import Actor, Event, UserError, action


class OrderState(BaseModel):
    items: list[str] = []
    receipt: str | None = None
    stages: list[str] = []


class Bank:
    """Stands for a service elsewhere. It takes idempotency keys, as such services do."""

    def __init__(self) -> None:
        self.charges: dict[str, int] = {}

    async def charge(self, cents: int, *, key: str) -> str:
        """Take money, once for each key."""
        await asyncio.sleep(0)
        self.charges.setdefault(key, cents)
        return f"receipt {list(self.charges).index(key) + 1}"


bank = Bank()


class Order(Actor[OrderState]):
    """An order in a shop."""

    changed = Event[list[str]]()
    stage = Event[str]()

    # --8<-- [start:turn]
    @action
    async def add(self, *items: str) -> int:
        """Put items into the order."""
        for item in items:
            if item in self.state.items:
                raise UserError(f"{item} is there already.", code="twice")
            self.state.items.append(item)
            self.broadcast(self.changed, self.state.items)
        return len(self.state.items)

    # --8<-- [end:turn]

    # --8<-- [start:outside]
    @action
    async def pay(self) -> str:
        """Charge the customer; a bank that knows idempotency keys charges once."""
        self.state.receipt = await bank.charge(self._price(), key=self.turn_id)
        return self.state.receipt

    # --8<-- [end:outside]

    # --8<-- [start:once]
    @action
    async def pay_once(self) -> str:
        """Charge the customer; the result is stored before anything else happens."""

        async def charge() -> str:
            return await bank.charge(self._price(), key=f"{self.turn_id}:charge")

        self.state.receipt = await self.once("charge", charge)
        return self.state.receipt

    # --8<-- [end:once]

    # --8<-- [start:exclusive]
    @action(exclusive=True)
    async def pay_alone(self) -> str:
        """Charge the customer while no other turn of this order runs."""
        self.state.receipt = await bank.charge(self._price(), key=self.turn_id)
        return self.state.receipt

    # --8<-- [end:exclusive]

    # --8<-- [start:checkpoint]
    @action
    async def ship(self) -> None:
        """Go through the stages; each is stored and told before the next begins."""
        for stage in ("packed", "labelled", "handed over"):
            self.state.stages.append(stage)
            self.broadcast(self.stage, stage)
            await self.save_state()

    # --8<-- [end:checkpoint]

    # --8<-- [start:refresh]
    @action
    async def wait_for(self, item: str) -> bool:
        """Look ten times whether others have added something."""
        for _ in range(10):
            if item in self.state.items:
                return True
            await asyncio.sleep(0.01)
            await self.refresh()
        return False

    # --8<-- [end:refresh]

    @action
    async def stages(self) -> list[str]:
        """Return the stages so far."""
        return self.state.stages

    def _price(self) -> int:
        return 100 * len(self.state.items)
