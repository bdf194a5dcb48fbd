"""The pace of deliveries: spaced evenly, by key, from now on."""

import pytest

from relay import pace as pace_module
from relay.pace import Bound, Pace


def by_name(key: str) -> Bound:
    return Bound(5, 10.0 if key.startswith("slow") else None)


def test_what_has_a_rate_is_spaced_evenly() -> None:
    pace = Pace(by_name)
    delays = []
    for _ in range(4):
        delays.append(pace.delay("slow", 100.0))
        pace.take("slow", 100.0)
    assert delays == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert pace.delay("slow", 100.35) == pytest.approx(0.05)
    assert pace.delay("slow2", 100.0) == 0.0


def test_a_pause_is_not_made_up_for() -> None:
    pace = Pace(by_name)
    pace.take("slow", 100.0)
    pace.take("slow", 200.0)
    assert pace.delay("slow", 200.0) == pytest.approx(0.1)


def test_without_a_rate_nobody_waits() -> None:
    pace = Pace(by_name)
    for _ in range(3):
        pace.take("fast", 100.0)
    assert pace.delay("fast", 100.0) == 0.0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "_LIMIT", 10)
    pace = Pace(by_name)
    for number in range(100):
        pace.take(f"slow{number}", float(number))
    assert len(pace._next) <= 10
