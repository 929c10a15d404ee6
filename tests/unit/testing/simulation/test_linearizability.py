"""Linearizability: good histories pass, bad ones are rejected, and brute force agrees."""

import itertools
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivetless.testing.simulation.checkers import Violation
from rivetless.testing.simulation.checkers.linearizability import (
    Model,
    Undecided,
    check,
    linearizable,
)
from rivetless.testing.simulation.checkers.models import KV, Counter, Log, Register, Set
from rivetless.testing.simulation.history import (
    History,
    Ok,
    Operation,
    Outcome,
    Refused,
    Subject,
    Unknown,
)
from tests.unit.testing.simulation.histories import call

LOST = Unknown("actor.outcome_unknown")
BUSY = Refused("actor.conflict")


def test_nothing_is_linearizable() -> None:
    check([], Counter())


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=Ok(1)),
                call(1, "get", begun=3, ended=4, outcome=Ok(1)),
            ],
            id="one after the other",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=4, outcome=Ok(3)),
                call(1, "add", 2, begun=2, ended=3, outcome=Ok(2)),
            ],
            id="what began later comes first",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=LOST),
                call(1, "get", begun=3, ended=4, outcome=Ok(0)),
                call(2, "get", begun=5, ended=6, outcome=Ok(1)),
            ],
            id="a lost call takes effect after its caller gave up",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=None),
                call(1, "get", begun=3, ended=4, outcome=Ok(0)),
            ],
            id="a lost call never takes effect",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=BUSY),
                call(1, "get", begun=3, ended=4, outcome=Ok(0)),
            ],
            id="a refused call never takes effect",
        ),
    ],
)
def test_good_counters(operations: list[Operation]) -> None:
    check(operations, Counter())


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=Ok(1)),
                call(1, "get", begun=3, ended=4, outcome=Ok(0)),
            ],
            id="stale read",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=4, outcome=Ok(1)),
                call(1, "add", 1, begun=2, ended=3, outcome=Ok(1)),
            ],
            id="lost update",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=Ok(1)),
                call(1, "get", begun=3, ended=4, outcome=Ok(2)),
            ],
            id="applied twice",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=BUSY),
                call(1, "get", begun=3, ended=4, outcome=Ok(1)),
            ],
            id="refused and applied",
        ),
        pytest.param(
            [
                call(0, "get", begun=1, ended=2, outcome=Ok(1)),
                call(1, "add", 1, begun=3, ended=None),
            ],
            id="a lost call took effect before it was made",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=8, outcome=Ok(1)),
                call(1, "get", begun=2, ended=3, outcome=Ok(1)),
                call(2, "get", begun=4, ended=5, outcome=Ok(0)),
            ],
            id="reads go back in time",
        ),
        pytest.param(
            [
                call(0, "add", 1, begun=1, ended=2, outcome=LOST),
                call(1, "get", begun=3, ended=4, outcome=Ok(1)),
                call(2, "get", begun=5, ended=6, outcome=Ok(0)),
            ],
            id="a lost call took effect and was undone",
        ),
    ],
)
def test_bad_counters(operations: list[Operation]) -> None:
    assert not linearizable(operations, Counter())


def test_says_what_cannot_be_explained() -> None:
    operations = [
        call(0, "add", 5, begun=1, ended=2, outcome=Ok(5)),
        call(1, "add", 7, begun=3, ended=4, outcome=LOST),
        call(2, "get", begun=5, ended=6, outcome=Ok(1)),
    ]
    with pytest.raises(Violation) as caught:
        check(operations, Counter())
    text = str(caught.value)
    assert "thing/a" in text
    assert "#2 c2 [0.500-0.600] thing/a.get() -> 1 (would be 5)" in text or "would be 12" in text
    assert "of unknown outcome: #1 c1" in text


def test_errors_of_the_actor_must_be_explained_too() -> None:
    account = Counter(least=0, refusal="user.overdrawn")
    taken = call(1, "add", -3, begun=3, ended=4, outcome=Refused("user.overdrawn"))
    check([call(0, "add", 2, begun=1, ended=2, outcome=Ok(2)), taken], account)
    rich = [call(0, "add", 5, begun=1, ended=2, outcome=Ok(5)), taken]
    assert not linearizable(rich, account)


def test_register() -> None:
    def history(last: object) -> list[Operation]:
        return [
            call(0, "set", 1, begun=1, ended=2, outcome=Ok()),
            call(1, "compare_and_set", 1, 2, begun=3, ended=6, outcome=Ok(True)),
            call(2, "compare_and_set", 1, 3, begun=4, ended=7, outcome=Ok(last)),
            call(3, "get", begun=8, ended=9, outcome=Ok(2)),
        ]

    check(history(False), Register())
    assert not linearizable(history(True), Register())


def test_log() -> None:
    def history(read: list[str]) -> list[Operation]:
        return [
            call(0, "append", "x", begun=1, ended=3, outcome=Ok(2)),
            call(1, "append", "y", begun=2, ended=4, outcome=Ok(1)),
            call(2, "read", begun=5, ended=6, outcome=Ok(read)),
        ]

    check(history(["y", "x"]), Log())
    assert not linearizable(history(["x", "y"]), Log())


def test_keys_and_members_are_checked_apart() -> None:
    kv = [
        call(0, "put", "a", 1, begun=1, ended=2, outcome=Ok()),
        call(1, "put", "b", 2, begun=3, ended=4, outcome=Ok()),
        call(2, "delete", "a", begun=5, ended=6, outcome=Ok()),
        call(3, "get", "a", begun=7, ended=8, outcome=Ok(None)),
        call(4, "get", "b", begun=9, ended=10, outcome=Ok(2)),
    ]
    check(kv, KV())
    assert not linearizable([*kv, call(5, "get", "a", begun=11, ended=12, outcome=Ok(1))], KV())
    members = [
        call(0, "add", "a", begun=1, ended=2, outcome=Ok(True)),
        call(1, "contains", "b", begun=3, ended=4, outcome=Ok(False)),
        call(2, "remove", "a", begun=5, ended=6, outcome=Ok(True)),
    ]
    check(members, Set())
    assert not linearizable(
        [*members, call(3, "remove", "a", begun=7, ended=8, outcome=Ok(True))], Set()
    )


def test_an_unknown_call_is_an_error_of_the_test() -> None:
    with pytest.raises(LookupError, match="no call 'jump'"):
        check([call(0, "jump", begun=1, ended=2, outcome=Ok())], Counter())


def test_calls_can_be_renamed() -> None:
    model = Counter({"deposit": "add"})
    check([call(0, "deposit", 2, begun=1, ended=2, outcome=Ok(2))], model)


def test_gives_up() -> None:
    operations = [call(n, "add", 2**n, begun=n + 1, ended=None) for n in range(20)]
    operations.append(call(20, "get", begun=100, ended=101, outcome=Ok(-1)))
    with pytest.raises(Undecided):
        check(operations, Counter(), steps=1000)


# -- against brute force -----------------------------------------------------------------------


def brute_force(operations: Sequence[Operation], model: Model[int]) -> bool:
    """Try all subsets of the unknown ones in all orders."""
    definite = [one for one in operations if one.ok]
    unknown = [one for one in operations if isinstance(one.outcome, Unknown)]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            for order in itertools.permutations([*definite, *some]):
                if _explains(order, model):
                    return True
    return False


def _explains(order: Sequence[Operation], model: Model[int]) -> bool:
    for earlier, later in itertools.combinations(order, 2):
        ended = None if isinstance(later.outcome, Unknown) else later.order_ended
        if ended is not None and ended < earlier.order:
            return False
    state = model.initial()
    for operation in order:
        ((state, answer),) = model.apply(state, operation)
        if operation.ok and answer != operation.value:
            return False
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    count = draw(st.integers(1, 5))
    places = draw(st.permutations(range(2 * count)))
    operations: list[Operation] = []
    for n in range(count):
        begun, ended = sorted(places[2 * n : 2 * n + 2])
        name = draw(st.sampled_from(["add", "get"]))
        args = (draw(st.integers(1, 2)),) if name == "add" else ()
        value = draw(st.integers(0, 4))
        outcomes: list[Outcome] = [Ok(value), Ok(value), Ok(value), LOST, BUSY]
        outcome = draw(st.sampled_from(outcomes))
        operations.append(call(n, name, *args, begun=begun, ended=ended, outcome=outcome))
    return operations


@given(histories())
@settings(max_examples=400, deadline=None)
def test_agrees_with_brute_force(operations: list[Operation]) -> None:
    assert linearizable(operations, Counter()) == brute_force(operations, Counter())


def simulated(seed: int, *, stale: bool = False, clients: int = 5, calls: int = 30) -> History:
    """A counter whose calls take effect at some instant between their beginning and their end."""
    dice = random.Random(seed)
    history = History()
    state = 0
    open_calls: dict[int, tuple[str, int, object]] = {}
    begun = 0
    while begun < calls or open_calls:
        client = dice.randrange(clients)
        if client not in open_calls:
            if begun == calls:
                continue
            amount = dice.choice([0, 1, 2])
            call_name, args = ("add", (amount,)) if amount else ("get", ())
            number = history.begin(f"c{client}", Subject("x"), call_name, args)
            open_calls[client] = (call_name, number, None)
            begun += 1
            continue
        name, number, answer = open_calls[client]
        if answer is None:
            if stale and begun > calls // 2 and name == "get" and state:
                answer = state - 1
                stale = False
            else:
                state += sum(int(str(arg)) for arg in history.operations[number].args)
                answer = state
            open_calls[client] = (name, number, answer)
        else:
            lost = dice.random() < 0.1
            history.end(number, LOST if lost else Ok(answer))
            del open_calls[client]
    return history


@pytest.mark.parametrize("seed", range(30))
def test_takes_thirty_calls_of_five_clients_in_its_stride(seed: int) -> None:
    good = simulated(seed).operations
    began = time.process_time()
    check(good, Counter())
    assert time.process_time() - began < 0.25
