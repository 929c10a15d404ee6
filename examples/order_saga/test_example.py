"""Orders that are shipped, and orders that are undone."""

from examples.order_saga.app import Order, Purchase
from rivetless.testing.rig import Rig


# --8<-- [start:test]
async def test_an_order_that_cannot_be_shipped_is_undone(rig: Rig) -> None:
    order = Order(item="sold out", amount=30)
    purchase = rig.client.get_or_create(Purchase, "1", input=order)
    await purchase.look()
    await rig.advance(60)  # five more attempts, with growing pauses
    state = await purchase.look()
    assert state.status == "cancelled"
    assert state.log == [
        "reserved sold out",
        "charged 30",
        "refunded 30",
        "released sold out",
    ]


# --8<-- [end:test]


async def test_an_order_is_shipped(rig: Rig) -> None:
    order = Order(item="book", amount=12)
    purchase = rig.client.get_or_create(Purchase, "1", input=order)
    await purchase.look()
    await rig.settle()
    state = await purchase.look()
    assert (state.status, state.log) == ("shipped", ["reserved book", "charged 12", "shipped"])
    rig.restart()
    await rig.settle()
    assert (await purchase.look()).log == state.log


async def test_a_stolen_card_is_not_tried_again(rig: Rig) -> None:
    order = Order(item="book", amount=12, card="stolen")
    purchase = rig.client.get_or_create(Purchase, "1", input=order)
    await purchase.look()
    await rig.settle()
    assert (await purchase.look()).log == ["reserved book", "released book"]
