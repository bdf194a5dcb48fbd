"""Fixtures for what comes in."""

from collections.abc import AsyncIterator

import pytest

from tests.inbound.dialogue import FrontDoor, front_door


@pytest.fixture
async def door() -> AsyncIterator[FrontDoor]:
    """The relay's front door with the usual settings."""
    async with front_door() as opened:
        yield opened
