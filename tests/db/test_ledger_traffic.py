"""Counts of deliveries in the ledger: added up, summed for commands, removed by the day."""

from pathlib import Path

import pytest

from relay.db.ledger import Ledger
from relay.db.ledger_traffic import shadow
from relay.evidence import Failure
from relay.reporting.store import Exposure, Passage, Passed, Shadow

EXPIRED, UNLISTED = Failure.CERTIFICATE_EXPIRED, Failure.MX_MISMATCH
DAY = 86_400.0
EVER = (None, None)


def passage(
    *flaws: Failure,
    mode: str = "testing",
    domain: str = "d.test",
    day: int = 10,
    level: str = "verified",
) -> Passage:
    return Passage(mode, domain, day, level, flaws)


def passed(messages: int, first: float, last: float | None = None) -> Passed:
    return Passed(messages, 2 * messages, first, first if last is None else last)


async def test_what_is_alike_adds_up_whoever_counts(ledger: Ledger, path: Path) -> None:
    await ledger.add_traffic({passage(): passed(2, 36000.0, 36010.0)})
    other = Ledger(path)
    await other.add_traffic({passage(): passed(3, 36005.0, 36020.0)})
    other.close()
    found = shadow(path, "testing", None, EVER, 9)
    assert found.exposures == (Exposure("d.test", 5, 10, 0, 0, 36000.0, 36020.0, None, ()),)
    assert found == Shadow(found.exposures, 1, 1, 5, 0, 0, 36000.0, 36020.0)


async def test_flaws_are_counted_by_domain_the_worst_first(ledger: Ledger, path: Path) -> None:
    await ledger.add_traffic(
        {
            passage(domain="good.test"): passed(90, 1.0),
            passage(domain="bad.test"): passed(5, 1.0, 9.0),
            passage(EXPIRED, domain="bad.test", level="encrypted"): passed(2, 2.0, 4.0),
            passage(UNLISTED, EXPIRED, domain="bad.test", level="encrypted"): passed(1, 3.0),
            passage(mode="enforce", domain="bad.test"): passed(70, 1.0),
        }
    )
    found = shadow(path, "testing", None, EVER, 1)
    reasons = (("certificate-expired", 3), ("mx-mismatch", 1))
    assert found.exposures == (Exposure("bad.test", 8, 16, 0, 3, 1.0, 9.0, 4.0, reasons),)
    assert (found.domains, found.clean, found.messages, found.flawed) == (2, 1, 98, 3)


async def test_levels_are_counted_for_floors(ledger: Ledger, path: Path) -> None:
    no_tls = Failure.STARTTLS_NOT_SUPPORTED
    await ledger.add_traffic(
        {
            passage(mode="none"): passed(7, 1.0),
            passage(EXPIRED, mode="none", level="encrypted"): passed(2, 1.0),
            passage(no_tls, mode="none", level="clear"): passed(1, 1.0),
        }
    )
    (one,) = shadow(path, "none", None, EVER, 9).exposures
    assert (one.messages, one.clear, one.flawed) == (10, 1, 3)


@pytest.mark.parametrize(
    ("domain", "span", "messages"),
    [
        pytest.param(None, EVER, 7, id="all"),
        pytest.param("e.test", EVER, 4, id="one domain"),
        pytest.param("none.test", EVER, 0, id="no such domain"),
        pytest.param(None, (11 * DAY, None), 6, id="since"),
        pytest.param(None, (None, 11 * DAY), 1, id="until, without it"),
        pytest.param(None, (11 * DAY, 12 * DAY), 2, id="both"),
    ],
)
async def test_only_what_is_wanted(
    ledger: Ledger,
    path: Path,
    domain: str | None,
    span: tuple[float | None, float | None],
    messages: int,
) -> None:
    await ledger.add_traffic(
        {
            passage(day=10): passed(1, 10 * DAY),
            passage(day=11): passed(2, 11 * DAY),
            passage(domain="e.test", day=12): passed(4, 12 * DAY),
        }
    )
    assert shadow(path, "testing", domain, span, 9).messages == messages


def test_nothing_is_something_to_tell(path: Path) -> None:
    assert shadow(path, "testing", None, EVER, 9) == Shadow((), 0, 0, 0, 0, 0, None, None)


@pytest.mark.parametrize(
    ("before", "most", "left"),
    [
        pytest.param(0.0, 100, 10, id="nothing"),
        pytest.param(4 * DAY + 1, 100, 6, id="what is older, by the day"),
        pytest.param(0.0, 3, 3, id="what is too much, the oldest first"),
    ],
)
async def test_old_counts_go(
    ledger: Ledger, path: Path, before: float, most: int, left: int
) -> None:
    await ledger.add_traffic({passage(day=n): passed(1, n * DAY) for n in range(10)})
    while await ledger.prune_traffic(before, most, 2):
        pass
    found = shadow(path, "testing", None, EVER, 9)
    assert (found.messages, found.last) == (left, 9 * DAY)
