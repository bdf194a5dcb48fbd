"""When to try again: the delays, their spread, and the moments that need a fresh look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.outcome import Reason
from relay.queue.retry import Schedule

SCHEDULE = Schedule((60.0, 300.0, 900.0), 10_000.0, 4000.0)
NEVER_WARNS = Schedule((60.0, 300.0, 900.0), 10_000.0, None)


@pytest.mark.parametrize(
    ("attempts", "now", "due"),
    [
        pytest.param(1, 0.0, 60.0, id="SND-21 the first delay"),
        pytest.param(2, 60.0, 360.0, id="SND-21 the second"),
        pytest.param(9, 1000.0, 1900.0, id="SND-21 the last repeats"),
        pytest.param(9, 3500.0, 4000.0, id="a delay is told after a fresh look"),
        pytest.param(9, 9500.0, 10_000.0, id="the end of the lifetime is looked at"),
        pytest.param(9, 10_000.0, 10_900.0, id="after the end the delays go on"),
    ],
)
def test_next_attempt(attempts: int, now: float, due: float) -> None:
    assert SCHEDULE.next_attempt(attempts, 0.0, now, lambda: 0.5) == due


EARLY = Schedule((60.0, 300.0, 900.0), 10_000.0, 4000.0, 1000.0)


@pytest.mark.parametrize(
    ("schedule", "reason", "moment"),
    [
        pytest.param(EARLY, Reason.POLICY, 1000.0, id="a policy's delay is told early"),
        pytest.param(EARLY, Reason.TLS_FLOOR, 4000.0, id="our own floor's is not"),
        pytest.param(EARLY, Reason.UNREACHABLE, 4000.0, id="nor is any other"),
        pytest.param(EARLY, None, 4000.0, id="nor one without a reason"),
        pytest.param(SCHEDULE, Reason.POLICY, 4000.0, id="not where that is turned off"),
        pytest.param(Schedule((900.0,), 10_000.0, None, 1000.0), Reason.POLICY, 1000.0, id="alone"),
        pytest.param(
            Schedule((900.0,), 10_000.0, 500.0, 1000.0), Reason.POLICY, 500.0, id="the sooner"
        ),
    ],
)
def test_the_moment_of_a_warning(schedule: Schedule, reason: Reason | None, moment: float) -> None:
    when = (9, 0.0, moment - 1, lambda: 0.5)
    assert schedule.next_attempt(*when, reason) == moment
    assert not schedule.is_late(0.0, moment - 1, reason)
    assert schedule.is_late(0.0, moment, reason)


def test_without_a_warning_there_is_no_moment_for_it() -> None:
    assert NEVER_WARNS.next_attempt(9, 0.0, 3500.0, lambda: 0.5) == 4400.0
    assert not NEVER_WARNS.is_late(0.0, 9999.0)


@pytest.mark.parametrize(("dice", "due"), [(0.0, 54.0), (1.0, 66.0)])
def test_delays_are_spread_by_a_tenth(dice: float, due: float) -> None:
    assert SCHEDULE.next_attempt(1, 0.0, 0.0, lambda: dice) == pytest.approx(due)


@given(st.integers(1, 20), st.floats(0, 20_000), st.floats(0, 1))
def test_the_next_attempt_is_later_and_not_past_the_end(
    attempts: int, now: float, dice: float
) -> None:
    due = SCHEDULE.next_attempt(attempts, 0.0, now, lambda: dice)
    assert due > now
    assert due <= SCHEDULE.ends(0.0) or now >= SCHEDULE.ends(0.0)


@pytest.mark.parametrize(
    ("now", "late", "expired"),
    [(3999.0, False, False), (4000.0, True, False), (9999.0, True, False), (1e4, True, True)],
)
def test_late_and_expired(now: float, late: bool, expired: bool) -> None:
    assert (SCHEDULE.is_late(0.0, now), SCHEDULE.is_expired(0.0, now)) == (late, expired)
