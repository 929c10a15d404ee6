"""The unmodified npm client against Lambda functions, through a front as CloudFront is one.

It makes all its URLs from one endpoint, and is told to speak JSON: that is all it has to know.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rivetless.testing.lambda_lab import LambdaLab
from tests.clients.node import run_node

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(120)]

APP = "tests.behaviour.actors:registry"


@pytest.fixture
async def lab() -> AsyncIterator[LambdaLab]:
    """Functions that get frames in order; some of these tests ask for one."""
    folder = Path(__file__).parents[2]
    async with LambdaLab(APP, environments=8, folder=folder) as running:
        yield running


@pytest.mark.parametrize("file", ["calls", "connections", "raw"])
async def test_features(lab: LambdaLab, file: str) -> None:
    def run() -> None:
        run_node(file, lab.endpoint, "json", lambda: "", RIVETLESS_HOST="lambda")

    await asyncio.to_thread(run)
