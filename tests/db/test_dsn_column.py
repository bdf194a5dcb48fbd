"""What a sender asks to be told survives the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.db.dsn_column import dsn_column, dsn_fields
from relay.db.spool import Spool
from relay.envelope import DsnRequest, Envelope, Message

REQUESTS = st.builds(
    DsnRequest,
    st.sampled_from([(), ("NEVER",), ("SUCCESS", "FAILURE"), ("DELAY",)]),
    st.none() | st.text(),
)


@given(
    st.sampled_from([None, "FULL", "HDRS"]),
    st.none() | st.text(min_size=1),
    st.dictionaries(st.text(), REQUESTS),
)
def test_any_request_comes_back(
    ret: str | None, envid: str | None, dsn: dict[str, DsnRequest]
) -> None:
    envelope = Envelope(None, ("a@d.test",), ret=ret, envid=envid, dsn=dsn)
    assert Envelope(None, ("a@d.test",), **dsn_fields(dsn_column(envelope))) == envelope


def test_most_mail_asks_for_nothing() -> None:
    assert dsn_column(Envelope("me@a.test", ("a@d.test",))) is None


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool-0.db")
    yield spool
    spool.close()


async def test_dsn_01_the_spool_keeps_requests(spool: Spool) -> None:
    asked = {"a@d.test": DsnRequest(("SUCCESS",), "rfc822;A+2B@d.test")}
    envelope = Envelope("me@a.test", ("a@d.test",), ret="HDRS", envid="Q+3D1", dsn=asked)
    await spool.put(Message("Q1", envelope, b"x: y\r\n", 100.0), claimed=False)
    (claim,) = await spool.claim(100.0, 10)
    assert claim.job.envelope == envelope
