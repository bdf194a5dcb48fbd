"""Fixtures for all tests."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from relay.lab.world import World

# How fast the machine is at the moment is no property of the code
settings.register_profile("plain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plain")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A small internet on loopback, still without any domain."""
    async with World.start() as running:
        yield running
