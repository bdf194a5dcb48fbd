"""Fixtures for all tests, and the event loop they run on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from relay.lab.world import World

# How fast the machine is at the moment is no property of the code
settings.register_profile("plain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plain")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=["asyncio", "uvloop"], default="asyncio")


def pytest_configure(config: pytest.Config) -> None:
    """What is tested in the test's own process runs on one loop; CI has both."""
    if config.getoption("loop") == "uvloop":
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A small internet on loopback, still without any domain."""
    async with World.start() as running:
        yield running
