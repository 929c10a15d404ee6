"""Simulations run in loops of their own, which have time."""

import pytest


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """Let simulated loops be blocked: their files are real, and nobody waits."""
