"""What is to be told of the ledger: each violation once, at most one alert an hour for a kind."""

from pathlib import Path

import pytest

from relay.db import ledger_alerts
from relay.db.ledger import Ledger
from relay.evidence import Action, Failure
from relay.reporting.alert import Alert
from tests.db.test_ledger import entry

HOUR = 3600.0
NOW = 1000.0


async def told(ledger: Ledger, now: float = NOW) -> list[tuple[str, int]]:
    """The domains told at that time, with their counts."""
    found = []
    while alert := (await ledger.next_alert(now))[0]:
        found.append((alert.domain, alert.count))
    return found


async def test_the_first_of_a_kind_at_once_then_one_an_hour_with_the_count(ledger: Ledger) -> None:
    assert await told(ledger) == []
    await ledger.append([entry(1)])
    assert await told(ledger) == [("d.test", 1)]
    await ledger.append([entry(2, time=2.0), entry(3, time=3.0)])
    assert await told(ledger, NOW + HOUR - 1) == []
    await ledger.append([entry(4, time=4.0)])
    alert, lost = await ledger.next_alert(NOW + HOUR)
    assert alert is not None
    assert (alert.count, alert.first, alert.last, lost) == (3, 2.0, 4.0, 0)
    assert alert.record["detail"] == "é4"
    assert await told(ledger, NOW + HOUR) == []
    await ledger.append([entry(5)])
    assert await told(ledger, NOW + 2 * HOUR) == [("d.test", 1)]


async def test_kinds_are_domain_and_reason_whatever_the_host(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append(
        [
            entry(1),
            entry(2, mx="mx2.d.test", action=Action.DELIVERED),
            entry(3, failure=Failure.CERTIFICATE_EXPIRED),
            entry(4, domain="e.test"),
        ]
    )
    assert await told(ledger) == [("d.test", 2), ("d.test", 1), ("e.test", 1)]


async def test_what_a_waiver_lets_pass_is_not_told(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append([entry(1, action=Action.WAIVED)])
    assert await told(ledger) == []


async def test_what_was_there_before_is_not_told(ledger: Ledger) -> None:
    await ledger.append([entry(1)])
    assert await told(ledger) == []
    await ledger.append([entry(2, domain="e.test")])
    assert await told(ledger) == [("e.test", 1)]


async def test_processes_share_it_and_a_restart_repeats_nothing(ledger: Ledger, path: Path) -> None:
    await told(ledger)
    other = Ledger(path)
    await other.append([entry(1), entry(2, domain="e.test")])
    first, _ = await other.next_alert(NOW)
    second, _ = await ledger.next_alert(NOW)
    assert {one.domain for one in (first, second) if one} == {"d.test", "e.test"}
    other.close()
    again = Ledger(path)
    await again.append([entry(1), entry(3)])  # the first has been copied before
    assert await told(again) == []
    assert await told(again, NOW + HOUR) == [("d.test", 1)]
    again.close()


async def test_what_could_not_be_told_is_due_again_after_the_others(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append([entry(1, time=1.0)])
    alert, _ = await ledger.next_alert(NOW)
    assert alert is not None
    await ledger.append([entry(2, time=2.0), entry(3, domain="e.test")])
    await ledger.give_back(alert, NOW)
    assert await told(ledger) == [("e.test", 1), ("d.test", 2)]


async def test_a_count_that_is_given_back_begins_with_the_first(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append([entry(1, time=1.0)])
    alert, _ = await ledger.next_alert(NOW)
    assert alert is not None
    await ledger.give_back(alert, NOW)
    again, _ = await ledger.next_alert(NOW)
    assert again == alert


async def test_what_is_a_day_old_is_given_up_and_counted(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append(
        [entry(1, time=NOW), entry(2, time=NOW), entry(3, time=NOW, domain="e.test")]
    )
    await ledger.next_alert(NOW)
    await ledger.append([entry(4, time=NOW + 90_000.0, domain="e.test")])
    alert, lost = await ledger.next_alert(NOW + 90_000.0)
    assert lost == 0  # the later one keeps the whole
    assert alert is not None
    assert (alert.domain, alert.count) == ("e.test", 2)
    await ledger.give_back(alert, NOW + 90_000.0)
    assert await ledger.next_alert(NOW + 180_000.0) == (None, 2)
    assert await ledger.next_alert(NOW + 180_000.0) == (None, 0)


async def test_of_more_than_can_wait_the_oldest_are_given_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_alerts, "_MOST", 2)
    await told(ledger)
    await ledger.append([entry(one, domain=f"d{one}.test") for one in range(1, 6)])
    alert, lost = await ledger.next_alert(NOW)
    assert isinstance(alert, Alert)
    assert (alert.domain, lost) == ("d4.test", 3)


async def test_a_clock_put_back_silences_nothing(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append([entry(1)])
    assert await told(ledger, NOW + 1e6) == []  # too old then
    await ledger.append([entry(2, time=NOW + 1e6)])
    assert await told(ledger, NOW + 1e6) == [("d.test", 1)]
    await ledger.append([entry(3, time=NOW)])
    assert await told(ledger, NOW) == [("d.test", 1)]


async def test_what_retention_has_removed_is_not_told(ledger: Ledger) -> None:
    await told(ledger)
    await ledger.append([entry(1, time=1.0)])
    alert, _ = await ledger.next_alert(NOW)
    assert alert is not None
    await ledger.give_back(alert, NOW)
    await ledger.prune(2.0, 1000, 10)
    assert await told(ledger) == []
    await ledger.append([entry(2, time=3.0)])
    assert await told(ledger) == [("d.test", 2)]
