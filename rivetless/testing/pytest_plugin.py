"""The pytest plugin that comes with the package: fixtures for tests of actors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rivetless.testing.rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Actors in memory: ``rig.client`` calls them, ``rig.advance`` lets time pass."""
    from rivetless.testing.rig import Rig

    async with Rig() as started:
        yield started
