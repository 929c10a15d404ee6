"""The power is cut under load, at a random point: what is left is what the setting promises.

``--real-faults 200`` cuts it two hundred times in each way.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw
import pytest
from blockbuster import BlockBuster

from rivetless.store.base import StoreError
from rivetless.store.sqlite import SQLiteStore, checkpoints, schema
from rivetless.store.sqlite import store as store_module
from rivetless.store.sqlite.store import Synchronous
from rivetless.store.sqlite.threads import Worker
from rivetless.testing.disk import Disk
from tests.crash.history import Acknowledged, count_lost, write_own, write_shared
from tests.figures import Figures, asked_for

T = TypeVar("T")

WRITERS = 6
MOST_OPERATIONS = 1500
SEEDS = range(40)
THREADED_SEEDS = range(1000, 1010)
FIGURES = "power cuts on SQLite (synchronous={})"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each seed."""
    seeds = {"seed": SEEDS, "threaded_seed": THREADED_SEEDS}
    for name in seeds.keys() & set(metafunc.fixturenames):
        first, few = seeds[name].start, len(seeds[name])
        metafunc.parametrize(name, range(first, first + (asked_for(metafunc.config) or few)))


class InlineWorker(Worker):
    """Works in the event loop, a little later: with it a run depends on its seed only."""

    def submit(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(done, work()))

    async def call(self, work: Callable[[], T]) -> T:
        return work()


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints and new logs be under way at many of the points."""
    monkeypatch.setattr(checkpoints, "LOG_PAGES", 60)
    monkeypatch.setattr(schema, "WARM_PAGES", 30)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch, blockbuster: BlockBuster) -> None:
    """Let stores do everything in the event loop, although it blocks there."""
    blockbuster.deactivate()
    monkeypatch.setattr(store_module, "Worker", InlineWorker)
    monkeypatch.setattr(checkpoints, "Worker", InlineWorker)


async def load_until_cut(path: Path, disk: Disk, synchronous: Synchronous) -> list[Acknowledged]:
    """Commit until the power is gone; return what was acknowledged, in order."""
    order: list[Acknowledged] = []

    def tell(kind: str, name: str, number: int) -> None:
        # What is acknowledged after the cut was on the disk before.
        order.append((kind, name, number))

    store = SQLiteStore(path, synchronous=synchronous, vfs=disk.name)
    try:
        async with store:
            await asyncio.gather(
                *(write_own(store, f"w{number}", tell) for number in range(WRITERS)),
                *(write_shared(store, f"s{number}", tell) for number in range(2)),
            )
    except StoreError:
        assert disk.is_cut  # it was cut while the file was being opened
    return order


async def examine(folder: Path, order: list[Acknowledged]) -> int:
    """Open what is left, as after a restart; return how many commits were lost."""
    path = folder / "actors.db"
    async with SQLiteStore(path, synchronous="off") as store:
        lost = await count_lost(store, order)
        # And life goes on.
        head = await store.load("x")
        assert head is None
    with apsw.Connection(str(path)) as db:
        assert db.pragma("integrity_check") == "ok"
    return lost


def cut_and_examine(folder: Path, seed: int, synchronous: Synchronous) -> tuple[int, int]:
    """Return how many commits were acknowledged, and how many of them lost."""
    before, after = folder / f"before-{seed}", folder / f"after-{seed}"
    before.mkdir()
    after.mkdir()
    with Disk(seed) as disk:
        cut_at = random.Random(seed).randrange(1, MOST_OPERATIONS)

        def count(_kind: str, _path: str) -> None:
            if disk.operations >= cut_at:
                disk.cut()

        disk.on_operation = count
        order = asyncio.run(load_until_cut(before / "actors.db", disk, synchronous))
        disk.save_survivors(after)
    return len(order), asyncio.run(examine(after, order))


def full_loses_nothing(folder: Path, seed: int, figures: Figures) -> None:
    """Check one power cut with the setting that promises everything."""
    acknowledged, lost = cut_and_examine(folder, seed, "full")
    assert lost == 0
    # What was applied twice would have been found too.
    figures.tell(
        FIGURES.format("full"), cuts=1, acknowledged_commits=acknowledged, lost=lost, doubled=0
    )


@pytest.mark.usefixtures("inline")
def test_full_loses_nothing(tmp_path: Path, seed: int, figures: Figures) -> None:
    full_loses_nothing(tmp_path, seed, figures)


def test_full_loses_nothing_with_threads(
    tmp_path: Path, threaded_seed: int, figures: Figures
) -> None:
    full_loses_nothing(tmp_path, threaded_seed, figures)


def normal_loses_the_newest(folder: Path, seeds: range, figures: Figures) -> list[tuple[int, int]]:
    """Check power cuts with the setting that promises what is left to be whole, and a prefix."""
    results = [cut_and_examine(folder, seed, "normal") for seed in seeds]
    figures.tell(
        FIGURES.format("normal"),
        cuts=len(results),
        acknowledged_commits=sum(acknowledged for acknowledged, _ in results),
        lost_as_documented=sum(lost for _, lost in results),
        torn=0,
        doubled=0,
    )
    return results


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("inline")
def test_normal_loses_the_newest_at_most(tmp_path: Path, figures: Figures) -> None:
    results = normal_loses_the_newest(tmp_path, range(figures.at_least(len(SEEDS))), figures)
    assert any(lost for _, lost in results), "nothing is ever lost: is the power really cut?"
    assert any(lost < acknowledged for acknowledged, lost in results), "all is lost, always"


def test_normal_loses_the_newest_at_most_with_threads(tmp_path: Path, figures: Figures) -> None:
    normal_loses_the_newest(tmp_path, THREADED_SEEDS, figures)


@pytest.mark.usefixtures("inline")
def test_off_is_found_out(tmp_path: Path) -> None:
    """The tests above are not empty: they fail a store that does not sync."""
    lost_any = torn = 0
    for seed in SEEDS:
        try:
            _, lost = cut_and_examine(tmp_path, seed, "off")
        except (AssertionError, StoreError, apsw.Error):
            torn += 1
        else:
            lost_any += lost > 0
    assert torn, "nothing was ever torn"
    assert lost_any, "nothing was ever lost"
