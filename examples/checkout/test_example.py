"""Under every fault, each order is charged once; a mistake is found, and shown."""

from collections import Counter

import pytest

from examples.checkout import payments
from examples.checkout.app import Checkout, NumberedCheckout
from rivetless.testing.simulation import (
    Deployment,
    Ok,
    Simulation,
    SimulationFailure,
    check_seed,
    simulate,
)


# --8<-- [start:outside]
async def charge_outside(key: str, amount: int) -> str:
    """Charge at the simulation's provider, which may be slow, away or silent."""
    return f"receipt-{await Simulation.current().outside.call('charge', key, amount)}"


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payments, "charge", charge_outside)


# --8<-- [end:outside]


# --8<-- [start:test]
PRICES = {"book": 1200, "lamp": 4900, "tea": 700}


async def sell(sim: Simulation, shop: type[Checkout | NumberedCheckout]) -> None:
    """Let customers pay at once, in bad weather; then look at what was charged."""
    checkout = sim.client.get_or_create(shop, "main")

    async def customer(order: str) -> None:
        for _ in range(3):  # whoever is not sure that it worked clicks again
            if isinstance(await sim.attempt(checkout.pay(order, PRICES[order])), Ok):
                return

    await sim.run(*map(customer, PRICES))
    await sim.calm()  # nothing goes wrong any more, and whatever was left is done
    charged = Counter(effect.value for effect in sim.history.effects if effect.applied)
    times = {order: charged[PRICES[order]] for order in await checkout.receipts()}
    assert all(count == 1 for count in times.values()), f"how often each was charged: {times}"


@simulate(Checkout, seeds=200)
async def test_every_order_is_charged_once(sim: Simulation) -> None:
    await sell(sim, Checkout)


# --8<-- [end:test]


async def sell_numbered(sim: Simulation) -> None:
    await sell(sim, NumberedCheckout)


def test_the_mistake_is_found_and_shown() -> None:
    with pytest.raises(SimulationFailure) as caught:
        hunt()
    assert "how often each was charged: {" in str(caught.value)
    assert ": 2" in str(caught.value)


def hunt() -> None:
    """Try one seed after the other."""
    for seed in range(1000):
        check_seed(sell_numbered, Deployment(actors=[NumberedCheckout]), seed, "memory", "sell")
