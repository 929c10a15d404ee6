"""The counter counts, tells, and outlives its process; both clients of the README work."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.quickstart import client
from examples.quickstart.app import Counter
from rivetless.testing.rig import Rig
from tests.conftest import NODE_MODULES

APP = "examples.quickstart.app:registry"


# --8<-- [start:test]
async def test_counts(rig: Rig) -> None:
    counter = rig.client.get_or_create(Counter, "a")
    assert await counter.increment(2) == 2
    rig.restart()  # a new process, which knows only what was committed
    assert await counter.increment() == 3


async def test_tells_everybody(rig: Rig) -> None:
    counter = rig.client.get_or_create(Counter, "a")
    async with rig.client.connect(counter) as connection:
        changes = connection.events(Counter.changed)
        await connection.actor.increment(5)
        assert await anext(changes) == 5


# --8<-- [end:test]


async def test_python_client(
    serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    await client.main(serve(APP))
    assert capsys.readouterr().out.splitlines() == ["changed: 3", "returned: 3", "returned: 4"]


@pytest.mark.node
def test_javascript_client(serve: Callable[[str], str], tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("client.mjs"), tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    done = subprocess.run(
        ["node", "client.mjs", serve(APP)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["changed: 3", "returned: 3"]
