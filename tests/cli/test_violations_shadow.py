"""`relay violations shadow` as an operator types it."""

import asyncio
import json
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.db.ledger import Ledger
from relay.evidence import Failure
from relay.reporting.store import Passage, Passed
from relay.timestamp import rfc3339
from tests.cli.process import relay

DAY = 86_400.0
NOW = SystemClock().now()
OLD = NOW - 40 * DAY


def counted(
    domain: str, mode: str, level: str, messages: int, *flaws: Failure, at: float = NOW
) -> tuple[Passage, Passed]:
    passed = Passed(messages, messages, at, at)
    return Passage(mode, domain, int(at // DAY), level, flaws), passed


ROWS = [
    counted("ready.test", "testing", "verified", 400),
    counted("bad.test", "testing", "verified", 88),
    counted("bad.test", "testing", "encrypted", 12, Failure.CERTIFICATE_EXPIRED, at=OLD),
    counted("enforced.test", "enforce", "verified", 9999),
    counted("plain.test", "none", "clear", 1, Failure.STARTTLS_NOT_SUPPORTED),
    counted("plain.test", "none", "encrypted", 2, Failure.CERTIFICATE_NOT_TRUSTED),
    counted("plain.test", "none", "verified", 997),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.touch()
    return path


async def fill(path: Path) -> None:
    ledger = Ledger(path.parent / "var" / "ledger.db")
    await ledger.add_traffic(dict(ROWS))
    ledger.close()


@pytest.fixture
def filled(path: Path) -> Path:
    (path.parent / "var").mkdir()
    asyncio.run(fill(path))
    return path


def cells(text: str, domain: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(domain)]
    return [cell for cell in line.split("  ") if cell]


def test_a_domain_that_is_ready_and_one_that_is_not(filled: Path) -> None:
    run = relay("violations", "shadow", "-c", filled)
    assert run.returncode == 0, run.stderr
    assert "12 of 500 messages (2.4 %) refused; 1 of 2 domains without any" in run.stdout
    last = rfc3339(OLD)[:19].replace("T", " ")
    bad, ready = cells(run.stdout, "bad.test"), cells(run.stdout, "ready.test")
    assert [one.strip() for one in bad[1:]] == [
        "100",
        "12",
        "12.0 %",
        last,
        "certificate expired 12",
    ]
    assert [one.strip() for one in ready[1:]] == ["400", "0", "0 %", "-", "-"]
    assert "enforced.test" not in run.stdout


def test_floors_where_there_is_no_policy(filled: Path) -> None:
    run = relay("violations", "shadow", "--domain", "plain.test", "-c", filled)
    assert "no mail was delivered to a domain in mode testing" in run.stdout
    # neither none nor all: 1 of 1000 is never told as 0 %
    assert '"encrypt": 1 of 1000 messages (0.1 %) refused' in run.stdout
    assert '"verify": 3 of 1000 messages (0.3 %) refused; 0 of 1 domains' in run.stdout
    assert "certificate not trusted 2, no STARTTLS 1" in run.stdout


def test_since_the_partner_has_repaired_it(filled: Path) -> None:
    run = relay("violations", "shadow", "--since", "30d", "-c", filled)
    assert "0 of 488 messages (0 %) refused; 2 of 2 domains without any" in run.stdout


def test_rows_that_are_left_out_are_told(filled: Path) -> None:
    run = relay("violations", "shadow", "--limit", "1", "-c", filled)
    assert "and 1 more: --limit" in run.stdout
    assert "ready.test" not in run.stdout


def test_all_of_it_for_programs(filled: Path) -> None:
    run = relay("violations", "shadow", "--json", "--limit", "1", "-c", filled)
    found = json.loads(run.stdout)
    testing, without = found["testing"], found["no_policy"]
    assert [one["domain"] for one in testing["by_domain"]] == ["bad.test", "ready.test"]
    bad = testing["by_domain"][0]
    assert bad == {
        "domain": "bad.test",
        "messages": 100,
        "recipients": 100,
        "refused": 12,
        "reasons": {"certificate-expired": 12},
        "first": rfc3339(OLD),
        "last": rfc3339(NOW),
        "last_refused": rfc3339(OLD),
    }
    assert (testing["domains"], testing["clean"], testing["messages"]) == (2, 1, 500)
    assert without["refused"] == {"encrypt": 1, "verify": 3}
    assert without["by_domain"][0]["refused"] == {"encrypt": 1, "verify": 3}


def test_before_the_first_delivery(path: Path) -> None:
    run = relay("violations", "shadow", "-c", path)
    assert run.returncode == 0
    assert run.stdout.splitlines() == [
        "no mail was delivered to a domain in mode testing",
        "",
        "no mail was delivered to a domain without a policy",
    ]
    found = json.loads(relay("violations", "shadow", "--json", "-c", path).stdout)
    assert found["testing"]["by_domain"] == []
    assert found["testing"]["first"] is None
