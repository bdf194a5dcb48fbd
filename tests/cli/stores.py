"""Stores that have something of everything, for commands that only read."""

import asyncio
from pathlib import Path

from relay.address import Domain
from relay.db.desk import Desk
from relay.db.ledger import Ledger
from relay.db.policies import PolicyTable
from relay.db.spool import Spool
from relay.db.tls_levels import TlsLevels
from relay.envelope import Envelope, Message
from relay.evidence import Action, Failure, Finding, Handover, PolicySnapshot
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy
from relay.queue.job import Last, Remainder, Settlement
from relay.reporting.copier import entries_of
from relay.reporting.store import Passage, Passed

NOW = 1_790_000_000.0
CONTENT = b"Subject: told\r\n\r\nbody\r\n"


def furnish(directory: Path) -> Path:
    """A configuration whose storage has mail, violations and policies; its path."""
    asyncio.run(_fill(directory / "var"))
    path = directory / "config.toml"
    path.touch()
    return path


async def _fill(storage: Path) -> None:
    await _queue(storage)
    await _violations(storage)
    await _policies(storage)


async def _queue(storage: Path) -> None:
    spool = Spool(storage / "spool-0.db")
    for name, reason in (("QA", "policy"), ("QB", "unreachable"), ("XC", "dns")):
        envelope = Envelope("me@a.test", (f"u@{name.lower()}.test",))
        (claim,) = await spool.put(Message(name, envelope, CONTENT, NOW), claimed=True)
        last = Last(NOW, f"mx.{name.lower()}.test", f"451 4.4.0 {reason} {'long ' * 70}")
        rest = Remainder(envelope.recipients, NOW, reason, last, warned=False)
        await spool.settle(Settlement(claim.job, rest), claimed=True)
    spool.close()
    Desk(storage).hold(["QB"])


async def _violations(storage: Path) -> None:
    policy = PolicySnapshot("1", "enforce", ("mx.p.test",), 604800, NOW)
    ledger = Ledger(storage / "ledger.db")
    found = [
        Finding(NOW, f"v{n}.test", policy, failure, "x", Action.REFUSED, f"mx{n}.v.test")
        for n, failure in enumerate((Failure.MX_MISMATCH, Failure.CERTIFICATE_EXPIRED))
    ]
    await ledger.append(entries_of([(f"f-{n}", one) for n, one in enumerate(found)]))
    passage = Passage(
        "testing",
        "a-rather-long-name.customer.test",
        int(NOW // 3600),
        "encrypted",
        (Failure.CERTIFICATE_EXPIRED,),
    )
    await ledger.add_traffic({passage: Passed(2, 2, NOW, NOW)})
    ledger.close()


async def _policies(storage: Path) -> None:
    table = PolicyTable(storage / "policies.db")
    for name in ("p.test", "past.test"):
        policy = Policy(version="STSv1", mode="enforce", mx=(f"mx.{name}",), max_age=604800)
        kept = CachedPolicy(Domain(name), "1", policy, "version: STSv1\n", NOW)
        await table.save(kept, "delivery", NOW)
    await table.keep_failure(
        Domain("p.test"), FetchFailure("dns_error", "no answer", None, NOW, NOW, 3, NOW), NOW
    )
    await table.forget(Domain("past.test"), NOW)
    table.close()
    levels = TlsLevels(storage / "policies.db")
    seen = [
        Handover(f"{name}.test", "none", "mx.x.test", level, (), 1)
        for name, level in (("lax", "encrypted"), ("tls", "verified"))
    ]
    levels.note(seen, NOW)
    levels.close()
