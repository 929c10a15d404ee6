"""What every test has: one event loop backend, no blocking of it, no deadlines of hypothesis."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from rivetless.testing.simulation.decorator import BATCH_ARGUMENT

# A deadline measures the machine, and ours is shared.
settings.register_profile("rivetless", deadline=None)
settings.load_profile("rivetless")

# Counts the behaviour suite's tests; see there why it is loaded here. A local AWS. What was seen.
pytest_plugins = ["tests.behaviour.cells", "tests.ministack", "tests.figures"]

TESTS = Path(__file__).parent
MINISTACK = Path(__file__).parent.parent / ".ministack-venv" / "bin" / "ministack"
SAM = Path(__file__).parent.parent / ".sam-venv" / "bin" / "sam"
NODE_MODULES = TESTS / "clients" / "js" / "node_modules"
BROWSER_MODULES = (
    TESTS / "browser" / "node_modules" / "playwright-core",
    TESTS.parent / "examples" / "chat" / "web" / "node_modules" / "vite",
)


def missing_node() -> str | None:
    """Return why tests of the npm client cannot run here, if they cannot."""
    if shutil.which("node") is None:
        return "no Node.js on PATH"
    if not (NODE_MODULES / "rivetkit").is_dir():
        return "the npm client is not installed: scripts/node-client"
    return None


def missing_browser() -> str | None:
    """Return why tests in a browser cannot run here, if they cannot."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return "no Chromium on PATH"
    if not all(folder.is_dir() for folder in BROWSER_MODULES):
        return "the browser's driver or the page's packages are not installed: scripts/node-client"
    return missing_node()


def missing_ministack() -> str | None:
    """Return why tests against a local AWS cannot run here, if they cannot."""
    if not MINISTACK.exists():
        return "ministack is not installed: scripts/ministack"
    return None


def missing_sam() -> str | None:
    """Return why tests with AWS's SAM CLI cannot run here, if they cannot."""
    if not SAM.exists():
        return "AWS's SAM CLI is not installed: scripts/sam"
    return None


NEEDS: dict[str, Callable[[], str | None]] = {
    "aws": missing_ministack,
    "browser": missing_browser,
    "node": missing_node,
    "sam": missing_sam,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with the reason; in CI that is a failure."""
    for marker, missing in NEEDS.items():
        if item.get_closest_marker(marker) is None:
            continue
        reason = missing()
        if reason is None:
            continue
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what the hosts run on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster(request: pytest.FixtureRequest) -> Iterator[BlockBuster]:
    """Fail a test in which rivetless blocks the event loop. That of a simulation may be blocked."""
    with blockbuster_ctx("rivetless") as detector:
        for function in detector.functions.values():
            # A time zone's table is read once in a process, like a module that is imported.
            function.can_block_in("rivetless/actor/cadence.py", {"_zone"})
        if BATCH_ARGUMENT in request.fixturenames:
            detector.deactivate()
        yield detector
