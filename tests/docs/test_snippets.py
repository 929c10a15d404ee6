"""What the documentation shows runs."""

from collections.abc import Iterator

import pytest

from rivetless import ActorError
from rivetless.testing.rig import Rig
from tests.docs.snippets import Order, charged, pay


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    charged.clear()
    yield
    charged.clear()


async def test_a_key_pays_once(rig: Rig) -> None:
    assert await pay(rig.client, "1", "request-1") == "receipt-20"
    rig.restart()
    assert await pay(rig.client, "1", "request-1") == "receipt-20"
    assert len(charged) == 1
    assert charged != [""]


async def test_what_is_done_once_is_stored(rig: Rig) -> None:
    order = rig.client.with_options(rig.client.get_or_create(Order, "2"), idempotency_key="k")
    assert await order.pay_once() == "receipt-20"
    assert await order.pay_once() == "receipt-20"
    assert charged == [""]


async def test_an_exclusive_turn_looks_first(rig: Rig) -> None:
    order = rig.client.get_or_create(Order, "3")
    await order.pay_alone()
    with pytest.raises(ActorError, match=r"user\.paid"):
        await order.pay_alone()
    assert charged == [""]


async def test_a_checkpoint_lasts(rig: Rig) -> None:
    await rig.client.get_or_create(Order, "4").ship()
    assert len(charged) == 1
