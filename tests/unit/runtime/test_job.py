"""Jobs: what stays while a turn is run again, and what names it elsewhere."""

from __future__ import annotations

import pytest

from rivetless import Actor
from rivetless.keys import Address
from rivetless.runtime.commands import Origin
from rivetless.runtime.job import Job, digest
from rivetless.runtime.turn import ActorTurn


class Thing(Actor[None]):
    """Does nothing."""


async def nothing(turn: ActorTurn) -> None:
    """Do nothing."""


def make(*, origin: Origin | None = None, turn_id: str | None = None, hops: float = 0.0) -> Job:
    return Job(
        Thing.__definition__,
        nothing,
        label="nothing",
        deadline=9.0,
        origin=origin or Origin(),
        turn_id=turn_id,
        hops=hops,
    )


def test_a_job_counts_the_hops_of_its_cause_and_its_origin() -> None:
    assert make(origin=Origin(hops=3.0), hops=1.0).hops == 3.0
    assert make(origin=Origin(hops=1.0), hops=3.0).hops == 3.0


def busy() -> Job:
    """Return a job of a loop whose unit has done this and that."""
    job = make()
    job.outside = job.answered = True
    job.calls, job.once = 3, {"pay": 1}
    return job


def test_a_new_job_has_done_nothing() -> None:
    job = make()
    assert (job.created, job.elsewhere, job.outside, job.leased, job.answered) == (False,) * 5
    assert (job.started, job.conflicts, job.checkpoints, job.calls) == (0, 0, 0, 0)


def test_a_turn_has_one_id_for_good() -> None:
    job, ids = make(), iter("ab")
    assert job.turn_id(lambda: next(ids)) == job.turn_id(lambda: next(ids)) == "a"


@pytest.mark.parametrize(
    ("origin", "turn_id", "durable"),
    [(Origin(), None, False), (Origin(call_key="i:k"), None, True), (Origin(), "t", True)],
)
def test_which_turns_another_process_may_run_again(
    origin: Origin, turn_id: str | None, durable: bool
) -> None:
    assert make(origin=origin, turn_id=turn_id).durable_cause is durable


def test_a_call_with_a_key_is_the_same_turn_in_processes_of_all_versions() -> None:
    """Else what it has sent, and stored, would be unknown to the process that runs it again."""
    job = make(origin=Origin(call_key="i:k"))
    assert (
        job.turn_id(lambda: "fresh") == digest("turn", "i:k") == "af5eda31cd474f5bd03a3431b6c4d876"
    )
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a" * 70_000) == "ce006f865e784230964a3c07cb983a27"


def test_a_unit_of_a_loop_forgets_what_the_one_before_it_did() -> None:
    job = busy()
    job.begin_unit(20.0)
    assert (job.outside, job.answered, job.calls) == (False, False, 0)
    assert job.once is None
    assert job.deadline == 20.0


def test_a_chain_of_calls_names_its_turns() -> None:
    link = make().link(Address("default", "thing", ("a", "b")), "t1")
    assert link == "thing[a/b]@t1"
    job = make(origin=Origin(chain=("first[x]@t0", link)))
    assert job.descends_from("t1")
    assert job.descends_from("t0")
    assert not job.descends_from("1")
