"""What AWS's own tools say of the template."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import SAM
from tests.infra.template import ROOT, TEMPLATE

pytestmark = [pytest.mark.sam, pytest.mark.timeout(120)]


def told(*command: object, home: Path) -> str:
    """Run a program without a network of its own; return what it says."""
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(home)}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_sam_finds_no_fault(tmp_path: Path) -> None:
    command = (SAM, "validate", "--lint", "--region", "us-east-1", "--template", TEMPLATE)
    assert "is a valid SAM Template" in told(*command, home=tmp_path)


def test_cfn_lint_finds_no_fault(tmp_path: Path) -> None:
    lint = SAM.with_name("cfn-lint")
    regions = ("us-east-1", "eu-central-1")
    assert told(lint, "--regions", *regions, "--", TEMPLATE, home=tmp_path) == ""
