"""Reading TLS levels: page by page, and behind a domain."""

import asyncio
from pathlib import Path

import pytest

from relay.db import tls_level_reader
from relay.db.tls_level_reader import Remembered, read_levels
from relay.db.tls_levels import TlsLevels
from relay.delivery.tls import Level
from relay.evidence import Handover

NAMES = [f"{letter}.test" for letter in "edcba"]


def seen(domain: str) -> Handover:
    return Handover(domain, "none", "mx.d.test", "encrypted", (), 1)


def fill(path: Path) -> None:
    async def note() -> None:
        levels = TlsLevels(path)
        levels.note([seen(name) for name in NAMES], 1.0)
        levels.close()

    asyncio.run(note())


@pytest.mark.parametrize(
    ("after", "found"), [("", "abcde"), ("b.test", "cde"), ("bb.test", "cde"), ("e.test", "")]
)
def test_all_behind_a_domain_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, found: str
) -> None:
    monkeypatch.setattr(tls_level_reader, "_PAGE", 2)
    fill(tmp_path / "policies.db")
    rows = list(read_levels(tmp_path / "policies.db", after))
    assert rows == [Remembered(f"{one}.test", Level.ENCRYPTED, 1.0, 1.0) for one in found]
