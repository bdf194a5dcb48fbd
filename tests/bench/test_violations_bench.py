"""How long `relay violations` takes on a ledger of 100 000 records. Prints figures, asserts none.

`BENCH=full pytest -s tests/bench` fills a ledger of that size, else a small one.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.db.ledger import Ledger
from relay.evidence import Action, Certificate, Failure, Finding, Handshake, PolicySnapshot
from relay.reporting.copier import entries_of
from relay.reporting.store import Passage, Passed

FULL = os.environ.get("BENCH") == "full"
COUNT = 100_000 if FULL else 1000
TIMES = 5 if FULL else 1
NOW = 1_790_000_000.0
SHOWN = Certificate("CN=mx", "CN=ca", ("mx.example.org", "mail.example.org"), 2, 1.0, 2.0, "a" * 64)
HANDSHAKE = Handshake("TLSv1.3", "certificate has expired", SHOWN)
FAILURES = (Failure.CERTIFICATE_EXPIRED, Failure.CERTIFICATE_NOT_TRUSTED, Failure.MX_MISMATCH)


def finding(number: int, domains: int) -> Finding:
    """One of many over a year, most of them of few domains."""
    domain = f"customer{(number * number) % domains}.example.org"
    mode = "enforce" if number % 3 else "testing"
    policy = PolicySnapshot("20260901", mode, (f"mx.{domain}", f"*.{domain}"), 604800, NOW)
    return Finding(
        NOW - (COUNT - number) * 300.0,
        domain,
        policy,
        FAILURES[number % 3],
        f"the certificate of mx.{domain} has expired",
        Action.REFUSED if number % 3 else Action.DELIVERED,
        f"mx.{domain}",
        ("192.0.2.1",),
        f"Q{number}",
        1,
        HANDSHAKE if number % 3 < 2 else None,
    )


def passed(number: int, domains: int) -> tuple[Passage, Passed]:
    """Deliveries of one domain on one day: as many rows as there are violations."""
    flaws = () if number % 5 else (Failure.CERTIFICATE_EXPIRED,)
    domain = f"customer{number % min(domains, 5000)}.example.org"
    mode = "none" if number % 2 else "testing"
    level = "encrypted" if flaws else "verified"
    day = int(NOW // 86_400) - number // 5000
    time = day * 86_400.0
    return Passage(mode, domain, day, level, flaws), Passed(1, 1, time, time)


async def fill(path: Path, domains: int) -> float:
    """Seconds it took."""
    ledger = Ledger(path)
    begun = time.perf_counter()
    for start in range(0, COUNT, 200):
        numbers = range(start, min(start + 200, COUNT))
        await ledger.append(entries_of([(f"{n:032x}-{n}", finding(n, domains)) for n in numbers]))
    took = time.perf_counter() - begun
    await ledger.add_traffic(dict(passed(n, domains) for n in range(COUNT)))
    ledger.close()
    return took


def best_of(command: list[str], times: int = TIMES) -> str:
    """Of the fastest run: other work on the machine is not what is asked about."""
    took, worked = [], []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert run.stdout
    return f"{min(took) * 1000:6.0f} ms, {min(worked) * 1000:5.0f} ms of CPU"


@pytest.mark.parametrize("domains", [500, COUNT] if FULL else [500])
def test_reading_commands(tmp_path: Path, domains: int) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\nurl = "sqlite:{tmp_path}"\n', "utf-8")
    took = asyncio.run(fill(tmp_path / "ledger.db", domains))
    print(f"\n{COUNT} records of {domains} domains: {took / COUNT * 1e6:.0f} us to write each")
    relay = [sys.executable, "-m", "relay"]
    print(f"{best_of([*relay, '--version'])}  relay --version, for comparison")
    listed = subprocess.run(
        [*relay, "violations", "--limit", "1", "-c", str(config)], capture_output=True, text=True
    )
    record_id = listed.stdout.split()[-1]
    counted = subprocess.run(
        [*relay, "violations", "summary", "--json", "-c", str(config)],
        capture_output=True,
        check=True,
    )
    total = json.loads(counted.stdout)
    assert total["violations"] == COUNT
    for part in ("by_domain", "by_reason", "by_day"):
        assert sum(total[part].values()) == COUNT
    for words in [
        ["violations"],
        ["violations", "--since", "2026-09-20T00:00:00Z"],
        ["violations", "--domain", "customer1.example.org"],
        ["violations", "--reason", "mx-mismatch", "--mode", "enforce"],
        ["violations", "summary"],
        ["violations", "summary", "--since", "2026-09-01T00:00:00Z"],
        ["violations", "summary", "--mode", "enforce"],
        ["violations", "shadow"],
        ["violations", "shadow", "--since", "2026-09-20T00:00:00Z"],
        ["violations", "show", record_id],
        ["violations", "--json", "--domain", "customer1.example.org"],
        ["violations", "--json", "--since", "2026-09-20T00:00:00Z"],
        ["violations", "export"],
        ["violations", "export", "--format", "csv"],
    ]:
        print(f"{best_of([*relay, *words, '-c', str(config)])}  {' '.join(words)}")
