"""The pauses between tries, and the spacing of warnings."""

import pytest

from relay.queue.patience import Spacing, pause


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (100_000, 60)]
)
def test_pauses_grow_to_a_minute(tries: int, seconds: float) -> None:
    assert pause(tries) == seconds


def test_one_warning_a_minute_tells_of_those_held_back() -> None:
    spacing = Spacing()
    assert [spacing.lets_through(now) for now in (5.0, 5.0, 64.9, 65.0, 66.0, 125.0)] == [
        0,
        None,
        None,
        2,
        None,
        1,
    ]


def test_a_clock_set_back_silences_nothing() -> None:
    spacing = Spacing()
    spacing.lets_through(100.0)
    assert spacing.lets_through(50.0) == 0
