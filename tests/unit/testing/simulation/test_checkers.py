"""Each checker accepts what is right and rejects what is wrong."""

from collections.abc import Callable

import pytest

from rivetless.testing.simulation.checkers import Violation
from rivetless.testing.simulation.checkers.effects import exactly_once
from rivetless.testing.simulation.checkers.events import (
    at_most_once,
    before_reply,
    committed,
    in_order,
)
from rivetless.testing.simulation.checkers.liveness import Rest, drained
from rivetless.testing.simulation.checkers.queues import conserved, first_in_first_out
from rivetless.testing.simulation.checkers.timers import Fired, Plan, Run, fire, recur
from rivetless.testing.simulation.checkers.vacuity import Sample, call_sites_hit, enough
from rivetless.testing.simulation.checkers.workflows import end_in, steps_once
from rivetless.testing.simulation.history import (
    Effect,
    EventSeen,
    History,
    Ok,
    Operation,
    Outcome,
    Refused,
    Subject,
    Unknown,
)
from tests.unit.testing.simulation.histories import ACTOR, call

LOST = Unknown("actor.outcome_unknown")
BUSY = Refused("actor.conflict")
DONE = Ok()


def rejects(promise: str, check: Callable[[], None]) -> None:
    with pytest.raises(Violation, match=promise):
        check()


# -- the history itself ------------------------------------------------------------------------


def test_history_writes_down_what_happens() -> None:
    now = 1.0
    history = History(lambda: now)
    number = history.begin("c1", ACTOR, "add", (1,), {"by": 2}, key="k")
    (begun,) = history.operations
    assert (begun.outcome, begun.ended, begun.order_ended) == (Unknown(), None, None)
    now = 2.5
    history.event("c1", "c1.1", ACTOR, "added", (3,))
    history.effect("pay", "k", 3, process="p1")
    history.commit(ACTOR, "id", 2, "commit", process="p1")
    ended = history.end(number, Ok(3), process="p1")
    assert history.operations == (ended,)
    assert (ended.began, ended.ended, ended.process, ended.value) == (1.0, 2.5, "p1", 3)
    orders = [begun.order, history.events[0].order, history.effects[0].order]
    assert orders == sorted(orders)
    assert ended.order_ended == history.commits[0].order + 1
    assert history.of(ACTOR) == (ended,)
    assert history.of(Subject("other")) == ()
    assert str(ended) == "#0 c1 [1.000-2.500] thing/a.add(1, by=2) -> 3"
    assert str(history.events[0]) == "c1.1 [2.500] thing/a sent added(3)"
    assert str(history.effects[0]) == "p1 [2.500] pay('k', 3)"
    assert str(history.commits[0]) == "p1 [2.500] committed thing/a version 2"


def test_violation_names_no_more_than_a_screen_holds() -> None:
    text = str(Violation("Broken.", range(20), more="why"))
    assert text.splitlines()[0] == "Broken."
    assert "… and 8 more" in text
    assert text.endswith("why")


# -- effects -----------------------------------------------------------------------------------


def order_of(operation: Operation) -> object:
    return operation.args[0]


PAID = call(0, "pay", "o1", begun=1, ended=2, outcome=Ok())
MAYBE = call(1, "pay", "o2", begun=1, ended=2, outcome=LOST)
REFUSED = call(2, "pay", "o3", begun=1, ended=2, outcome=BUSY)


@pytest.mark.parametrize(
    "effects",
    [
        [Effect(name="pay", key="o1")],
        [Effect(name="pay", key="o1"), Effect(name="pay", key="o2")],
        [Effect(name="pay", key="o1"), Effect(name="pay", key="o1", applied=False)],
    ],
)
def test_effects_that_are_right(effects: list[Effect]) -> None:
    exactly_once(effects, [PAID, MAYBE, REFUSED], order_of)


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ([], "its effect is missing"),
        ([Effect(name="pay", key="o1")] * 2, "had 2 effects"),
        ([Effect(name="pay", key="o1"), *[Effect(name="pay", key="o2")] * 2], "had 2 effects"),
        ([Effect(name="pay", key="o1"), Effect(name="pay", key="o3")], "was refused and had"),
        ([Effect(name="pay", key="o1"), Effect(name="pay", key="o9")], "no call asked for"),
    ],
)
def test_effects_that_are_wrong(effects: list[Effect], why: str) -> None:
    rejects(why, lambda: exactly_once(effects, [PAID, MAYBE, REFUSED], order_of))


def test_effects_of_refused_calls_can_be_allowed() -> None:
    effects = [Effect(name="pay", key="x", value="o3")]
    exactly_once(effects, [REFUSED], order_of, subject=lambda one: str(one.value), refused=1)


# -- events ------------------------------------------------------------------------------------


def told(*numbers: int, connection: str = "c1.1") -> list[EventSeen]:
    return [
        EventSeen(
            client="c1", connection=connection, actor=ACTOR, event="n", args=(n,), order=order
        )
        for order, n in enumerate(numbers, 10)
    ]


def number_of(event: EventSeen) -> object:
    return event.args[0]


def test_events_in_order() -> None:
    in_order(told(1, 2, 5), number_of)
    in_order([*told(1, 2), *told(1, 2, connection="c1.2")], number_of)
    in_order(told(2, 1, 3), number_of, excused=lambda earlier, later: True)


@pytest.mark.parametrize(
    ("numbers", "why"),
    [((1, 3, 2), "came behind one"), ((1, 1), "came twice"), ((1, 2, 1), "came twice")],
)
def test_events_out_of_order(numbers: tuple[int, ...], why: str) -> None:
    rejects(why, lambda: in_order(told(*numbers), number_of))


def test_excused_events_come_once_all_the_same() -> None:
    events = told(1, 2, 1)
    rejects("came twice", lambda: in_order(events, number_of, excused=lambda _, __: True))
    rejects("came twice", lambda: at_most_once(events, number_of))


def test_events_of_what_was_never_committed() -> None:
    committed(told(1, 2), lambda event: event.args[0] in (1, 2, 3))
    rejects(
        "never committed", lambda: committed(told(1, 4), lambda event: event.args[0] in (1, 2, 3))
    )


def test_events_come_before_the_reply() -> None:
    def caused(event: EventSeen, operation: Operation) -> bool:
        return event.args[0] == operation.args[0]

    events = told(1)
    before_reply(events, [call(0, "add", 1, begun=1, ended=11, outcome=Ok())], caused)
    before_reply(events, [call(0, "add", 1, begun=1, ended=9, outcome=LOST)], caused)
    before_reply(events, [call(0, "add", 2, begun=1, ended=9, outcome=Ok())], caused)
    late = call(0, "add", 1, begun=1, ended=9, outcome=Ok())
    rejects("behind the reply", lambda: before_reply(events, [late], caused))


# -- queues ------------------------------------------------------------------------------------

SENT = call(0, "enqueue", "a", begun=1, ended=2, outcome=Ok())
NEXT = call(1, "enqueue", "b", begun=3, ended=4, outcome=Ok())
ALSO = call(2, "enqueue", "c", begun=3, ended=4, outcome=LOST)
NEVER = call(3, "enqueue", "d", begun=3, ended=4, outcome=BUSY)
SENDS = [SENT, NEXT, ALSO, NEVER]


@pytest.mark.parametrize(
    ("applied", "dead"), [("ab", ""), ("acb", ""), ("a", "b"), ("", "abc"), ("ca", "b")]
)
def test_messages_that_are_conserved(applied: str, dead: str) -> None:
    conserved(SENDS, list(applied), list(dead))


@pytest.mark.parametrize(
    ("applied", "dead", "why"),
    [
        ("a", "", "is lost"),
        ("aab", "", "2 times"),
        ("ab", "a", "2 times"),
        ("abcc", "", "2 times"),
        ("abd", "", "refused and is there"),
        ("abx", "", "nobody sent"),
    ],
)
def test_messages_that_are_not_conserved(applied: str, dead: str, why: str) -> None:
    rejects(why, lambda: conserved(SENDS, list(applied), list(dead)))


def test_messages_that_wait_are_not_lost() -> None:
    conserved(SENDS, ["a"], waiting=["b"])


def test_messages_come_in_order() -> None:
    first_in_first_out(SENDS, ["a", "b", "c"])
    first_in_first_out(SENDS, ["a", "c", "b"])
    first_in_first_out(SENDS, ["b"])
    rejects("overtook", lambda: first_in_first_out(SENDS, ["b", "a"]))
    # A message of unknown outcome may arrive whenever it likes; one behind an acknowledged may not.
    rejects("overtook", lambda: first_in_first_out(SENDS, ["c", "a"]))
    lost = call(0, "enqueue", "a", begun=1, ended=2, outcome=LOST)
    first_in_first_out([lost, NEXT], ["b", "a"])


# -- timers ------------------------------------------------------------------------------------


def plan(*cancelled: Operation, outcome: Outcome = DONE, dead: bool = False) -> Plan:
    planned = call(0, "plan", begun=1, ended=2, outcome=outcome)
    return Plan(name="t", due=5.0, planned=planned, cancelled=cancelled, dead=dead)


TAKEN = call(1, "cancel", begun=3, ended=4, outcome=Ok(True))
LATE = call(1, "cancel", begun=3, ended=4, outcome=Ok(False))
PERHAPS = call(1, "cancel", begun=3, ended=4, outcome=LOST)
ONCE = [Fired("t", 5.1)]


@pytest.mark.parametrize(
    ("plans", "fired"),
    [
        (plan(), ONCE),
        (plan(TAKEN), []),
        (plan(LATE), ONCE),
        (plan(PERHAPS), ONCE),
        (plan(PERHAPS), []),
        (plan(outcome=LOST), ONCE),
        (plan(outcome=LOST), []),
        (plan(outcome=BUSY), []),
        (plan(dead=True), []),
    ],
)
def test_timers_that_are_right(plans: Plan, fired: list[Fired]) -> None:
    fire([plans], fired)


@pytest.mark.parametrize(
    ("plans", "fired", "why"),
    [
        (plan(), [], "never took effect"),
        (plan(), ONCE * 2, "2 times"),
        (plan(), [Fired("t", 4.0)], "early"),
        (plan(TAKEN), ONCE, "taken back"),
        (plan(TAKEN, TAKEN), [], "taken back twice"),
        (plan(LATE), [], "never took effect"),
        (plan(outcome=BUSY), ONCE, "refused"),
        (plan(), [*ONCE, Fired("u", 1.0)], "nobody asked"),
    ],
)
def test_timers_that_are_wrong(plans: Plan, fired: list[Fired], why: str) -> None:
    rejects(why, lambda: fire([plans], fired))


def test_clocks_may_go_wrong() -> None:
    fire([plan()], [Fired("t", 4.5)], skew=0.5)


def test_recurring_jobs() -> None:
    first = Run(job="j", due=1.0, began=1.1, ended=1.5)
    recur([first, Run(job="j", due=2.0, began=2.0, ended=2.1)])
    recur([first, Run(job="k", due=1.0, began=1.1, ended=1.5)])
    rejects("twice for one", lambda: recur([first, Run(job="j", due=1.0, began=3.0)]))
    rejects("overlap", lambda: recur([first, Run(job="j", due=1.2, began=1.4, ended=2.0)]))
    rejects("early", lambda: recur([Run(job="j", due=2.0, began=1.0)]))


# -- workflows, liveness, vacuity --------------------------------------------------------------


def test_workflows_end_in_the_reference_state() -> None:
    end_in({ACTOR: 3}, {ACTOR: 3})
    end_in(lambda subject: [1, 2], {ACTOR: 2})
    rejects("ended in", lambda: end_in({ACTOR: 3}, {ACTOR: 4}))
    rejects("ended in", lambda: end_in(lambda subject: [1, 2], {ACTOR: 3}))


def test_steps_take_effect_once() -> None:
    steps_once(ACTOR, ["a", "b"], [("a", "b")])
    steps_once(ACTOR, ["a"], [("a", "b")])
    rejects("took effect twice", lambda: steps_once(ACTOR, ["a", "b", "a"]))
    rejects("before one it follows", lambda: steps_once(ACTOR, ["b", "a"], [("a", "b")]))
    rejects("before one it follows", lambda: steps_once(ACTOR, ["b"], [("a", "b")]))


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (Rest(actor=ACTOR, outbox=("x",)), "never dispatched: x"),
        (Rest(actor=ACTOR, alarm=9.0), "an alarm due since 1.000 s"),
        (Rest(actor=ACTOR, messages=2), "2 messages"),
        (Rest(actor=ACTOR, tombstone=True), "remains"),
        (Rest(actor=ACTOR, lease="t1"), "lease of t1"),
    ],
)
def test_everything_drains(rest: Rest, why: str) -> None:
    drained([Rest(actor=ACTOR, alarm=11.0)], now=10.0)
    rejects(why, lambda: drained([rest], now=10.0))


def test_hunts_are_not_vacuous() -> None:
    def sample(seed: int, succeeded: int, *faults: str) -> Sample:
        return Sample(seed=seed, calls=10, succeeded=succeeded, faults=frozenset(faults))

    enough([sample(1, 5, "death"), sample(2, 7, "delay")], ["death", "delay"])
    rejects("11 of 20 calls", lambda: enough([sample(1, 4), sample(2, 7)], []))
    rejects(
        "death: 10.0%",
        lambda: enough(
            [sample(n, 9, "delay") for n in range(9)] + [sample(9, 9, "death", "delay")],
            ["death", "delay"],
        ),
    )
    rejects("No seed", lambda: enough([], []))


def test_places_that_call_a_port_are_reached() -> None:
    call_sites_hit(["a:1"], ["a:1", "b:2"])
    rejects("never reached", lambda: call_sites_hit(["a:1", "a:2"], ["a:1"]))
