"""The ledger of violations: each once, in the order written, read by other connections."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from relay.db import ledger_reader
from relay.db.ledger import Ledger
from relay.db.ledger_reader import read_ledger
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.reporting.copier import entries_of
from relay.reporting.store import Entry, Filter


def entry(number: int, *, domain: str = "d.test", mode: str | None = "enforce") -> Entry:
    policy = mode and PolicySnapshot("1", mode, ("mx.d.test",), 60, 99.0)
    finding = Finding(
        float(number), domain, policy or None, Failure.MX_MISMATCH, "é", Action.REFUSED
    )
    (made,) = entries_of([(f"s-{number}", finding)])
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def times(path: Path, wanted: Filter) -> list[float]:
    return [float(record["time"][17:23]) for _, record in read_ledger(path, wanted)]


async def test_a_record_is_the_very_object_of_the_log(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(1)])
    ((number, record),) = read_ledger(path, Filter())
    assert (number, record) == (1, orjson.loads(entry(1).line))


async def test_what_is_handed_in_twice_is_recorded_once(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(1), entry(2)])
    await ledger.append([entry(2), entry(3)])
    assert times(path, Filter()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(Filter(), [5, 1, 2, 3, 4], id="in the order written"),
        pytest.param(Filter(since=3.0), [5, 3, 4], id="since a time, whatever the order"),
        pytest.param(Filter(since=6.0), [], id="since a time after all"),
        pytest.param(Filter(domain="e.test"), [2], id="a domain"),
        pytest.param(Filter(mode="testing"), [3], id="a mode"),
        pytest.param(Filter(after=2), [2, 3, 4], id="after a number"),
        pytest.param(Filter(since=2.0, mode="enforce", domain="d.test"), [5], id="all of it"),
    ],
)
async def test_filters(ledger: Ledger, path: Path, wanted: Filter, found: list[float]) -> None:
    await ledger.append(
        [
            entry(5),
            entry(1),
            entry(2, domain="e.test"),
            entry(3, mode="testing"),
            entry(4, mode=None),
        ]
    )
    assert times(path, wanted) == found


async def test_reading_goes_on_page_by_page(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_reader, "_NEXT", ledger_reader._NEXT.replace("1000", "2"))
    await ledger.append([entry(number) for number in range(5)])
    assert times(path, Filter()) == [0, 1, 2, 3, 4]


def test_before_the_first_start_there_is_nothing(path: Path) -> None:
    assert list(read_ledger(path, Filter())) == []
