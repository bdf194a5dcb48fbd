"""Fixtures for all tests."""

from collections.abc import AsyncIterator

import pytest

from relay.lab.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A small internet on loopback, still without any domain."""
    async with World.start() as running:
        yield running
