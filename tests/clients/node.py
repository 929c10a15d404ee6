"""Running the tests of the unmodified npm client under Node.js."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parent / "js"


def run_node(
    file: str, endpoint: str, encoding: str, log: Callable[[], str], **environment: str
) -> None:
    """Run one file of tests, and fail with what Node and the server say."""
    command = ["node", "--test-reporter=spec", "--test-force-exit", f"{file}.test.mjs"]
    result = subprocess.run(
        command,
        cwd=FOLDER,
        env=os.environ
        | {
            "RIVETLESS_ENDPOINT": endpoint,
            "RIVETLESS_ENCODING": encoding,
            "RIVET_LOG_LEVEL": "silent",
        }
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if result.returncode:
        said = result.stdout[-15_000:], result.stderr[-5_000:], log()[-3_000:]
        pytest.fail("\n".join(("Node.js says:", *said)), pytrace=False)
    assert "pass " in result.stdout
