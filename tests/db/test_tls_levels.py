"""TLS levels of domains: only rising, shared by processes, gone when forgotten or old."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.db import tls_levels
from relay.db.tls_level_reader import forget_level, read_level, read_levels
from relay.db.tls_levels import TlsLevels
from relay.delivery.tls import Level
from relay.evidence import Handover

DAY = 86_400.0


def handover(level: str, domain: str = "d.test", mode: str = "none") -> Handover:
    return Handover(domain, mode, "mx.d.test", level, (), 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policies.db"


@pytest.fixture
def levels(path: Path) -> Iterator[TlsLevels]:
    levels = TlsLevels(path)
    yield levels
    levels.close()


async def written(path: Path, domain: str, seen: float) -> None:
    """Wait until it is on disk."""
    async with asyncio.timeout(20):
        while (domain, seen) not in {(one.domain, one.seen) for one in read_levels(path)}:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)


async def test_the_best_level_stays_whatever_comes_later(levels: TlsLevels, path: Path) -> None:
    assert levels.level_of("d.test") is None
    for level, best in (
        ("clear", None),
        ("encrypted", Level.ENCRYPTED),
        ("verified", Level.VERIFIED),
        ("encrypted", Level.VERIFIED),
        ("clear", Level.VERIFIED),
    ):
        levels.note([handover(level)], 1.0)
        assert levels.level_of("d.test") is best
    await written(path, "d.test", 1.0)


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_where_a_policy_decides_nothing_is_remembered(levels: TlsLevels, mode: str) -> None:
    levels.note([handover("verified", mode=mode)], 1.0)
    assert levels.level_of("d.test") is None


async def test_it_outlives_a_restart_and_is_seen_anew_once_a_day(
    levels: TlsLevels, path: Path
) -> None:
    levels.note([handover("verified")], 1.0)
    await written(path, "d.test", 1.0)
    again = TlsLevels(path)
    assert again.level_of("d.test") is Level.VERIFIED
    again.note([handover("verified")], DAY)
    again.note([handover("verified")], DAY + 1.0)
    await written(path, "d.test", DAY + 1.0)
    (one,) = read_levels(path)
    assert one.since == 1.0
    again.close()


async def test_others_and_commands_are_noticed(
    levels: TlsLevels, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_levels, "_PAUSE", 0.01)
    running = asyncio.create_task(levels.run(SystemClock()))
    other = TlsLevels(path)
    other.note([handover("encrypted"), handover("verified", "e.test")], 1.0)
    async with asyncio.timeout(20):
        while levels.level_of("e.test") is not Level.VERIFIED:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)
        assert read_level(path, "d.test") is Level.ENCRYPTED
        assert forget_level(path, "e.test")
        while levels.level_of("e.test"):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)
    assert levels.level_of("d.test") is Level.ENCRYPTED
    assert not forget_level(path, "e.test")
    running.cancel()
    other.close()


async def test_what_was_long_not_seen_goes(
    levels: TlsLevels, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_levels, "_PAUSE", 0.0)
    monkeypatch.setattr(tls_levels, "_PRUNE", 1)
    now = SystemClock().now()
    levels.note([handover("verified", "old.test")], now - 91 * DAY)
    levels.note([handover("verified")], now)
    running = asyncio.create_task(levels.run(SystemClock()))
    async with asyncio.timeout(20):
        while levels.level_of("old.test"):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)
    assert levels.level_of("d.test") is Level.VERIFIED
    running.cancel()
