"""Releases: the first at once, each further one after twice the time, and none is kept for ever."""

import pytest

from relay.queue import restraint
from relay.queue.restraint import Restraint

HOUR = 3600.0


def released(first: float, *moments: float) -> Restraint:
    made = Restraint(first)
    for moment in moments:
        made.note("d.test", moment)
    return made


@pytest.mark.parametrize(
    ("first", "moments", "now", "allowed"),
    [
        (10.0, [], 0.0, True),
        (10.0, [0.0], 19.9, False),
        (10.0, [0.0], 20.0, True),
        (10.0, [0.0, 20.0], 59.9, False),
        (10.0, [0.0, 20.0], 60.0, True),
        (10.0, [0.0] * 50, 3.9 * HOUR, False),
        (10.0, [0.0] * 50, 4 * HOUR, True),
        (24 * HOUR, [0.0], 23 * HOUR, False),
        (24 * HOUR, [0.0], 24 * HOUR, True),
        (10.0, [*[0.0] * 50, 25 * HOUR], 25 * HOUR + 20, True),  # a day later all is forgotten
    ],
)
def test_how_soon_again(first: float, moments: list[float], now: float, *, allowed: bool) -> None:
    made = released(first, *moments)
    assert made.allows("d.test", now) == allowed
    assert made.allows("e.test", now)


def test_the_oldest_is_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "_LIMIT", 2)
    made = Restraint(10.0)
    for domain in ("a.test", "b.test", "a.test", "c.test"):
        made.note(domain, 0.0)
    assert [made.allows(one, 1.0) for one in ("a.test", "b.test", "c.test")] == [False, True, False]
