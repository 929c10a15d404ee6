"""Days of waiting, in no time."""

from datetime import timedelta

from examples.approval.app import Approval, Decision, Expense
from rivetless.testing.rig import Rig


# --8<-- [start:test]
async def test_somebody_decides_on_the_second_day(rig: Rig) -> None:
    approval = rig.client.get_or_create(Approval, "trip")
    await approval.look()
    await rig.advance(timedelta(days=1, minutes=1))
    rig.restart()  # nothing ran meanwhile, and nothing is lost
    await rig.client.send(approval, Approval.decisions, Decision(by="ann", approved=True))
    await rig.settle()
    assert await approval.look() == Expense(status="approved by ann", reminders=1)


# --8<-- [end:test]


async def test_nobody_decides(rig: Rig) -> None:
    approval = rig.client.get_or_create(Approval, "trip")
    await approval.look()
    for _ in range(4):
        await rig.advance(timedelta(days=1))
    assert await approval.look() == Expense(status="expired", reminders=3)
