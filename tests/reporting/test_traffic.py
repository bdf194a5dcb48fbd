"""Deliveries are counted in memory and written in the background; what is lost is told."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from relay.errors import StorageClosedError, StorageError
from relay.evidence import Failure, Handover
from relay.reporting import traffic as traffic_module
from relay.reporting.store import Entry, Passage, Passed
from relay.reporting.traffic import Traffic

NOW = 1_800_000_000.0
BAD = Handover("d.test", "testing", "mx.d.test", "encrypted", (Failure.CERTIFICATE_EXPIRED,), 2)
GOOD = Handover("d.test", "testing", "mx.d.test", "verified", (), 1)


class Book:
    """A LedgerStore that has trouble as often as told."""

    def __init__(self, *troubles: StorageError) -> None:
        self.troubles = list(troubles)
        self.written: list[Mapping[Passage, Passed]] = []
        self.wrote = asyncio.Event()

    async def add_traffic(self, counted: Mapping[Passage, Passed]) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.written.append(counted)
        self.wrote.set()

    async def append(self, entries: Sequence[Entry]) -> None:
        raise NotImplementedError

    async def prune(self, before: float, most: int, limit: int) -> int:
        raise NotImplementedError

    async def prune_traffic(self, before: float, most: int, limit: int) -> int:
        raise NotImplementedError


def passage(one: Handover, day: int = 0) -> Passage:
    return Passage(one.mode, one.domain, int(NOW // 86_400) + day, one.level, one.flaws)


async def test_what_is_alike_within_a_day_is_one() -> None:
    book = Book()
    traffic = Traffic(book)
    traffic.count([BAD, GOOD], NOW)
    traffic.count([BAD], NOW + 10)
    traffic.count([BAD], NOW + 86_400)
    await traffic.write()
    assert book.written == [
        {
            passage(BAD): Passed(2, 4, NOW, NOW + 10),
            passage(GOOD): Passed(1, 1, NOW, NOW),
            passage(BAD, 1): Passed(1, 2, NOW + 86_400, NOW + 86_400),
        }
    ]


async def test_no_setting_for_all_mail_rules_a_route() -> None:
    """But the policy of a next hop would, once in mode enforce."""
    book = Book()
    traffic = Traffic(book)
    plain = Handover("hop.test", "none", "hop.test", "encrypted", BAD.flaws, 1, is_routed=True)
    traffic.count([plain, replace(BAD, is_routed=True)], NOW)
    await traffic.write()
    assert list(book.written[0]) == [passage(BAD)]


async def test_it_is_written_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_module, "_INTERVAL", 0.0)
    monkeypatch.setattr(traffic_module, "_PATIENCE", 0.0)
    book = Book(StorageError("locked"))
    traffic = Traffic(book)
    running = asyncio.create_task(traffic.run())
    traffic.count([GOOD], NOW)
    await asyncio.wait_for(book.wrote.wait(), 10)
    running.cancel()
    assert book.written == [{passage(GOOD): Passed(1, 1, NOW, NOW)}]


async def test_a_closed_ledger_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_module, "_INTERVAL", 0.0)
    traffic = Traffic(Book(StorageClosedError("damaged")))
    traffic.count([GOOD], NOW)
    with pytest.raises(StorageClosedError):
        await asyncio.wait_for(traffic.run(), 10)


async def test_trouble_keeps_what_was_counted() -> None:
    book = Book(StorageError("locked"))
    traffic = Traffic(book)
    traffic.count([GOOD], NOW)
    with pytest.raises(StorageError):
        await traffic.write()
    traffic.count([GOOD], NOW + 1)
    await traffic.aclose()
    assert book.written == [{passage(GOOD): Passed(2, 2, NOW, NOW + 1)}]


async def test_an_end_in_trouble_is_told(caplog: pytest.LogCaptureFixture) -> None:
    traffic = Traffic(Book(StorageError("locked")))
    traffic.count([GOOD], NOW)
    await traffic.aclose()
    assert "the last deliveries are not counted: locked" in caplog.text


async def test_memory_has_a_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(traffic_module, "_MOST", 1)
    book = Book()
    traffic = Traffic(book)
    with caplog.at_level(logging.WARNING):
        for one in (GOOD, BAD, BAD, GOOD):
            traffic.count([one], NOW)
    assert len(caplog.records) == 1
    await traffic.write()
    assert book.written == [{passage(GOOD): Passed(2, 2, NOW, NOW)}]
