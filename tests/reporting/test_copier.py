"""Evidence reaches ledger and log once each, and trouble with either never loses it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.db.ledger import Ledger
from relay.db.ledger_reader import read_ledger
from relay.db.spool import Spool
from relay.evidence import Action, Failure, Finding
from relay.reporting.copier import Copier, entries_of
from relay.reporting.log_file import LogFile
from relay.reporting.store import Filter


def finding(domain: str, failure: Failure | None = Failure.MX_MISMATCH) -> Finding:
    return Finding(1.0, domain, None, failure, "seen", Action.NOTED)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def domains(tmp_path: Path) -> list[str]:
    return [one["domain"] for _, one in read_ledger(tmp_path / "ledger.db", Filter())]


async def test_copied_once_to_both(spool: Spool, ledger: Ledger, tmp_path: Path) -> None:
    copier = Copier(spool, ledger, LogFile(tmp_path / "log"))
    await spool.add_findings([finding("a.test"), finding("b.test", None), finding("c.test")])
    await copier.aclose()
    assert await spool.pending_findings(10) == []
    assert domains(tmp_path) == ["a.test", "c.test"]
    assert (tmp_path / "log").read_bytes().count(b"\n") == 2


async def test_cnf_13_a_log_that_cannot_be_written_holds_nothing_up_and_loses_nothing(
    spool: Spool, ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.mkdir()
    copier = Copier(spool, ledger, LogFile(path))
    await spool.add_findings([finding("a.test")])
    with pytest.raises(OSError, match="directory"):
        await copier.copy()
    assert len(await spool.pending_findings(10)) == 1
    path.rmdir()
    await copier.aclose()
    assert domains(tmp_path) == ["a.test"]
    assert path.read_bytes().count(b"\n") == 1


async def test_cnf_13_after_trouble_what_was_kept_is_copied_without_a_new_finding(
    spool: Spool,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("relay.reporting.copier._PATIENCE", 0.01)
    path = tmp_path / "log"
    path.mkdir()
    copier = Copier(spool, ledger, LogFile(path))
    await spool.add_findings([finding("a.test")])
    running = asyncio.create_task(copier.run())
    async with asyncio.timeout(10):
        while "cannot be recorded now" not in caplog.text:
            await spool.pending_findings(10)
        path.rmdir()
        while await spool.pending_findings(10):
            pass
    running.cancel()
    assert path.read_bytes().count(b"\n") == 1


async def test_a_finding_handed_in_twice_is_in_the_ledger_once(
    spool: Spool, ledger: Ledger, tmp_path: Path
) -> None:
    await spool.add_findings([finding("a.test")])
    entries = entries_of(await spool.pending_findings(10))
    await ledger.append(entries)
    await ledger.append(entries)  # as after a crash before the outbox was emptied
    assert domains(tmp_path) == ["a.test"]
