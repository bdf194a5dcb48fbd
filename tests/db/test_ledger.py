"""The ledger of violations: each once, in the order written, read by other connections."""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from relay.db import ledger_reader
from relay.db.ledger import Ledger
from relay.db.ledger_counts import fold, repeat_of, summarise
from relay.db.ledger_reader import find_records, newest_number, read_ledger, records_alike
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.reporting.copier import entries_of
from relay.reporting.store import Entry, Filter, Summary


def entry(  # noqa: PLR0913
    number: int,
    *,
    time: float | None = None,
    domain: str = "d.test",
    mode: str | None = "enforce",
    mx: str | None = "mx.d.test",
    failure: Failure = Failure.MX_MISMATCH,
    action: Action = Action.REFUSED,
) -> Entry:
    policy = mode and PolicySnapshot("1", mode, ("mx.d.test",), 60, 99.0)
    at = float(number) if time is None else time
    finding = Finding(at, domain, policy or None, failure, f"é{number}", action, mx)
    (made,) = entries_of([(f"s-{number}", finding)])
    return made


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


ROWS = [
    entry(5),
    entry(1, mx="mx2.d.test"),
    entry(2, domain="e.test"),
    entry(3, mode="testing", action=Action.DELIVERED),
    entry(4, mode=None, mx=None, failure=Failure.STS_POLICY_INVALID, action=Action.NOTED),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(Filter(), [5, 1, 2, 3, 4], id="in the order written"),
        pytest.param(Filter(since=3.0), [5, 3, 4], id="since a time, whatever the order"),
        pytest.param(Filter(since=6.0), [], id="since a time after all"),
        pytest.param(Filter(until=3.0), [1, 2], id="until a time, without it"),
        pytest.param(Filter(since=2.0, until=5.0), [2, 3, 4], id="between times"),
        pytest.param(Filter(domain="e.test"), [2], id="a domain"),
        pytest.param(Filter(domain="f.test"), [], id="a domain that has none"),
        pytest.param(Filter(mx="mx2.d.test"), [1], id="a host"),
        pytest.param(Filter(mode="testing"), [3], id="a mode"),
        pytest.param(Filter(mode="none"), [4], id="no policy in force"),
        pytest.param(Filter(reason="sts-policy-invalid"), [4], id="a reason"),
        pytest.param(Filter(action="delivered"), [3], id="an action"),
        pytest.param(Filter(after=2), [2, 3, 4], id="after a number"),
        pytest.param(Filter(after=1, up_to=3), [1, 2], id="up to a number"),
        pytest.param(Filter(since=2.0, mode="enforce", domain="d.test"), [5], id="all of it"),
    ],
)
async def test_filters(ledger: Ledger, path: Path, wanted: Filter, found: list[float]) -> None:
    """The counts go by the same filter as the records."""
    await ledger.append(ROWS)
    assert times(path, wanted) == found
    if not wanted.after:
        assert fold(path, wanted, 10)[2] == len(found)
        summary = summarise(path, wanted)
        assert summary.count == len(found)
        for counts in (summary.by_domain, summary.by_reason, summary.by_day):
            assert sum(count for _, count in counts) == len(found)


async def test_repeats_are_one_row_with_count_first_and_last(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(3), entry(1, mode="testing"), entry(7), entry(5)])
    (first, second), kinds, records = fold(path, Filter(), 10)
    assert (kinds, records) == (2, 4)
    assert (first.mode, first.count, first.first, first.last) == ("enforce", 3, 3.0, 7.0)
    assert (first.detail, first.record_id) == ("é7", entry(7).record["id"])
    assert (second.mode, second.count) == ("testing", 1)


async def test_no_more_repeats_than_asked_for_but_all_are_counted(
    ledger: Ledger, path: Path
) -> None:
    await ledger.append([entry(number, domain=f"d{number}.test") for number in range(5)])
    shown, kinds, records = fold(path, Filter(), 2)
    assert [one.domain for one in shown] == ["d4.test", "d3.test"]
    assert (kinds, records) == (5, 5)


async def test_a_summary_has_the_most_first(ledger: Ledger, path: Path) -> None:
    await ledger.append(ROWS)
    summary = summarise(path, Filter())
    assert (summary.count, summary.refused, summary.first, summary.last) == (5, 3, 1.0, 5.0)
    assert summary.by_domain == (("d.test", 4), ("e.test", 1))
    assert summary.by_reason == (("mx-mismatch", 4), ("sts-policy-invalid", 1))


async def test_days_are_those_of_utc(ledger: Ledger, path: Path) -> None:
    ends = [86399.9, 86400.0, 86400.0 * 3]
    await ledger.append([entry(number, time=at) for number, at in enumerate(ends)])
    assert summarise(path, Filter()).by_day == ((86400.0 * 3, 1), (86400.0, 1), (0.0, 1))


@pytest.mark.parametrize("mode", [None, "enforce"])  # of every kind, and of some
@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        pytest.param(None, None, [(9.0, 2), (4.0, 1), (3.0, 3), (0.0, 1)], id="ever"),
        pytest.param(3.5, 9.5, [(9.0, 1), (4.0, 1), (3.0, 2)], id="from and to within days"),
        pytest.param(3.5, 4.0, [(3.0, 2)], id="within one day"),
        pytest.param(4.0, 9.0, [(4.0, 1)], id="whole days"),
        pytest.param(5.0, 9.0, [], id="days without any"),
    ],
)
async def test_a_day_counts_what_is_wanted_of_it(
    ledger: Ledger,
    path: Path,
    mode: str | None,
    since: float | None,
    until: float | None,
    days: list[tuple[float, int]],
) -> None:
    at = [9.75, 3.0, 0.0, 3.5, 4.0, 3.75, 9.25]
    await ledger.append(
        [entry(n, time=day * 86400, domain=f"d{n % 3}.test") for n, day in enumerate(at)]
    )
    first, last = (None if day is None else day * 86400 for day in (since, until))
    found = summarise(path, Filter(since=first, until=last, mode=mode))
    assert found.by_day == tuple((day * 86400, count) for day, count in days)
    assert found.count == sum(count for _, count in days)


async def test_a_record_is_found_by_the_beginning_of_its_id(ledger: Ledger, path: Path) -> None:
    await ledger.append(ROWS)
    wanted = entry(2, domain="e.test").record
    for beginning in (wanted["id"], wanted["id"][:8]):
        assert find_records(path, beginning, 2) == [(3, wanted["id"], wanted)]
    assert find_records(path, "g", 2) == []
    assert len(find_records(path, "", 2)) == 2


async def test_those_alike_come_newest_first(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(1), entry(2, domain="e.test"), entry(4), entry(3)])
    repeat = repeat_of(path, 1)
    assert repeat is not None
    assert (repeat.count, repeat.first, repeat.last, repeat.detail) == (3, 1.0, 4.0, "é4")
    alike = records_alike(path, 1, 2)
    assert [one["detail"] for one in alike] == ["é4", "é3"]


async def test_what_is_too_old_is_removed_piece_by_piece(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(number, domain=f"d{number}.test") for number in (4, 1, 3, 2)])
    assert [await ledger.prune(4.0, 10, 2) for _ in range(3)] == [2, 1, 0]
    assert times(path, Filter()) == [4]
    with closing(sqlite3.connect(path)) as db:
        counts = [db.execute(f"SELECT count(*) FROM {name}").fetchone() for name in TABLES]  # noqa: S608
    assert counts == [(1,)] * len(TABLES)


async def test_of_too_many_the_oldest_go_and_the_counts_are_right(
    ledger: Ledger, path: Path
) -> None:
    await ledger.append([entry(9), entry(1), entry(2), entry(3, domain="e.test"), entry(4)])
    assert [await ledger.prune(0.0, 3, 10) for _ in range(2)] == [2, 0]
    assert times(path, Filter()) == [2, 3, 4]
    for wanted in (Filter(), Filter(since=0.0)):  # as kept, and as counted
        shown, kinds, records = fold(path, wanted, 10)
        assert (kinds, records) == (2, 3)
        assert [(one.count, one.first, one.last) for one in shown] == [(2, 2, 4), (1, 3, 3)]
        assert shown[0].record_id == entry(4).record["id"]


async def test_a_number_is_not_used_again_after_a_removal(ledger: Ledger, path: Path) -> None:
    await ledger.append([entry(1), entry(2)])
    await ledger.prune(9.0, 10, 10)
    await ledger.append([entry(3)])
    assert [number for number, _ in read_ledger(path, Filter())] == [3]


TABLES = ("kind", "line", "violation")


async def test_reading_goes_on_page_by_page(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_reader, "_NEXT", ledger_reader._NEXT.replace("1000", "2"))
    await ledger.append([entry(number) for number in range(5)])
    assert times(path, Filter()) == [0, 1, 2, 3, 4]


async def test_the_highest_number_stays_known(ledger: Ledger, path: Path) -> None:
    """What was written last may be removed first: a finding that waited long is old by then."""
    for number, time in enumerate([9.0, 9.0, 1.0]):
        await ledger.append([entry(number, time=time)])
    assert (
        newest_number(path),
        await ledger.prune(5.0, 10, 10),
        newest_number(path),
    ) == (3, 1, 3)


def test_before_the_first_start_there_is_nothing(path: Path) -> None:
    assert list(read_ledger(path, Filter())) == []
    assert fold(path, Filter(), 10) == ([], 0, 0)
    assert summarise(path, Filter()) == Summary(0, 0, 0.0, 0.0, (), (), ())
    assert repeat_of(path, 1) is None
    assert newest_number(path) == 0
    assert find_records(path, "a", 2) == []
