"""The outbox: findings are numbered for ever, bounded, and never hold mail up."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.db import outbox
from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.evidence import (
    Action,
    Certificate,
    Failure,
    Finding,
    Handshake,
    PolicySnapshot,
)
from relay.queue.job import Settlement

FINDING = Finding(1.0, "d.test", None, Failure.MX_MISMATCH, "x", Action.REFUSED)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


async def ids(spool: Spool) -> list[str]:
    return [name for name, _ in await spool.pending_findings(100)]


async def test_a_number_is_never_used_again(spool: Spool, tmp_path: Path) -> None:
    await spool.add_findings([FINDING, FINDING])
    first = await ids(spool)
    await spool.remove_findings(first)
    again = Spool(tmp_path / "spool-0.db")
    await again.add_findings([FINDING])
    assert not set(await ids(again)) & set(first)
    again.close()


async def test_two_spools_never_give_the_same_id(spool: Spool, tmp_path: Path) -> None:
    other = Spool(tmp_path / "spool-1.db")
    await spool.add_findings([FINDING])
    await other.add_findings([FINDING])
    assert await ids(spool) != await ids(other)
    other.close()


async def test_beyond_the_limit_the_newest_are_only_counted(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_LIMIT", 3)
    await spool.add_findings([FINDING] * 2)
    await spool.add_findings([replace(FINDING, detail="third"), FINDING])
    await spool.add_findings([FINDING])
    kept = await spool.pending_findings(10)
    assert [finding.detail for _, finding in kept] == ["x", "x", "third"]
    again = Spool(tmp_path / "spool-0.db")
    assert await again.findings_lost() == 2
    again.close()
    await spool.remove_findings([name for name, _ in kept])
    await spool.add_findings([FINDING])
    assert len(await ids(spool)) == 1


async def test_evidence_that_is_no_text_does_not_hold_mail_up(spool: Spool) -> None:
    message = Message("Q1", Envelope(None, ("a@d.test",)), b"x", 1.0)
    (claim,) = await spool.put(message, claimed=True)
    findings = (replace(FINDING, detail="\ud800"), FINDING)
    await spool.settle(Settlement(claim.job, None, (), findings), claimed=True)
    assert [finding for _, finding in await spool.pending_findings(10)] == [FINDING]
    assert await spool.findings_lost() == 1


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SNAPSHOTS = st.builds(
    PolicySnapshot,
    id=st.none() | TEXTS,
    mode=TEXTS,
    mx=st.lists(TEXTS, max_size=3).map(tuple),
    max_age=st.integers(0, 31_557_600),
    expires=st.floats(0, 1e11),
)
CERTIFICATES = st.builds(
    Certificate,
    subject=TEXTS,
    issuer=TEXTS,
    names=st.lists(TEXTS, max_size=3).map(tuple),
    names_count=st.integers(0, 10_000),
    not_before=st.floats(0, 1e11),
    not_after=st.floats(0, 1e11),
    sha256=TEXTS,
)
HANDSHAKES = st.builds(Handshake, tls=TEXTS, error=TEXTS, certificate=st.none() | CERTIFICATES)
FINDINGS = st.builds(
    Finding,
    time=st.floats(0, 1e11),
    domain=TEXTS,
    policy=st.none() | SNAPSHOTS,
    failure=st.none() | st.sampled_from(Failure),
    detail=TEXTS,
    action=st.sampled_from(Action),
    mx=st.none() | TEXTS,
    addresses=st.lists(TEXTS, max_size=3).map(tuple),
    queue_id=st.none() | TEXTS,
    recipients=st.integers(0, 1000),
    handshake=st.none() | HANDSHAKES,
)


@given(FINDINGS)
def test_a_finding_comes_back_whole(finding: Finding) -> None:
    text = outbox._text(finding)
    assert text is not None
    assert outbox._finding(text) == finding


def test_a_finding_of_an_older_version_is_read_too() -> None:
    row = orjson.loads(outbox._text(FINDING) or "")
    del row["handshake"]
    assert outbox._finding(orjson.dumps(row).decode()) == FINDING
