"""Gates, by name: a handler waits at one until its test opens it."""

from __future__ import annotations

import asyncio
from typing import Final

from rivetless.testing.clock import settle

GATES: Final[dict[str, asyncio.Event]] = {}
"""Those of the test that runs; each module clears them before a test."""


def gate(name: str) -> asyncio.Event:
    """Return an event that a test opens and an action waits for."""
    return GATES.setdefault(name, asyncio.Event())


async def open_all() -> None:
    """Let everybody go on, so that no handler outlives its test."""
    for event in GATES.values():
        event.set()
    await settle()
