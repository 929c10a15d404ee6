"""Histories written by hand, for the tests of checkers."""

from rivetless.testing.simulation.history import Operation, Outcome, Subject, Unknown

ACTOR = Subject("thing", ("a",))
UNFINISHED = Unknown()


def call(
    number: int,
    name: str,
    *args: object,
    begun: int,
    ended: int | None,
    outcome: Outcome = UNFINISHED,
    client: str = "",
) -> Operation:
    """An operation with given places in the order of things."""
    return Operation(
        number=number,
        client=client or f"c{number}",
        actor=ACTOR,
        call=name,
        args=args,
        began=begun / 10,
        ended=None if ended is None else ended / 10,
        order=begun,
        order_ended=ended,
        outcome=outcome,
    )
