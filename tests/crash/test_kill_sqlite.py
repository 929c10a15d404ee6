"""Processes that share a file are killed with ``kill -9``, more than fifty times, at any point.

``--real-faults 200`` kills two hundred for each setting.
"""

import asyncio
import random
from pathlib import Path

import apsw
import pytest

from rivetless.store.sqlite import SQLiteStore
from rivetless.store.sqlite.store import Synchronous
from tests.crash.child import Child, Job, Nursery
from tests.crash.history import Acknowledged, check_own, check_shared
from tests.figures import Figures

KILLS = 32
"""For each setting; in a round two children are killed."""

COMMITS = (1, 3, 20, 100, 300, 800, 1500)
"""How many are acknowledged before a child is killed; the last ones make checkpoints."""

OPENING_SECONDS = 0.02
"""How long it takes at most to open the file, during which a child is killed now and then."""


async def examine(path: Path, children: list[Child], written: list[Acknowledged]) -> None:
    """Check that what was acknowledged is there, once, and whole."""
    async with SQLiteStore(path, synchronous="normal") as store:
        additions = await check_shared(store)
        acknowledged = [commit for child in children for commit in child.order]
        names = {name for kind, name, _ in acknowledged if kind == "own"}
        newest = {name: await check_own(store, name) for name in sorted(names)}
    told = dict.fromkeys(names, 0)
    shared: set[str] = set()
    for kind, name, number in acknowledged:
        if kind == "own":
            told[name] = max(told[name], number)
        else:
            shared.add(f"{name}-{number}")
    for name, version in newest.items():
        # At most the one commit that was under way has gone unacknowledged.
        assert told[name] <= version <= told[name] + 1
    written += acknowledged
    added = {f"{name}-{number}" for kind, name, number in written if kind == "shared"}
    assert added <= additions
    assert len(additions - added) <= 2 * len(children)
    assert shared <= added
    # What was under way in this round may be there, and is known from now on.
    written += [("shared", *split(name)) for name in additions - added]


def split(name: str) -> tuple[str, int]:
    """Return the writer and the number that an addition is called by."""
    writer, _, number = name.rpartition("-")
    return writer, int(number)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_no_acknowledged_commit_is_lost(
    tmp_path: Path, synchronous: Synchronous, figures: Figures
) -> None:
    rng = random.Random(synchronous)
    path = tmp_path / "actors.db"
    written: list[Acknowledged] = []
    kills = acknowledged = 0
    with Nursery.open() as nursery:
        for number in range(figures.at_least(KILLS) // 2):
            children = [
                Child(
                    nursery,
                    Job(
                        path=str(path),
                        pipe=str(tmp_path / f"pipe-{number}-{which}"),
                        name=f"r{number}{which}",
                        synchronous=synchronous,
                    ),
                )
                for which in ("a", "b")
            ]
            # The second goes on for a while, with what the first has left behind.
            for child in children:
                if rng.random() < 0.3:
                    child.read_for(rng.uniform(0, OPENING_SECONDS))
                else:
                    child.read_until(len(child.order) + rng.choice(COMMITS))
                child.kill()
                kills += 1
            asyncio.run(examine(path, children, written))
            acknowledged += sum(len(child.order) for child in children)
    assert len(set(written)) == len(written)
    # All else would have failed above.
    figures.tell(
        "kill -9 of processes on one SQLite file",
        kills=kills,
        acknowledged_commits=acknowledged,
        lost=0,
        doubled=0,
    )
    with apsw.Connection(str(path)) as db:
        assert db.pragma("integrity_check") == "ok"
