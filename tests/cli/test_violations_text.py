"""Violations in words: every kind has some, also those of a later version."""

import pytest

from relay.cli.violations_show import _DONE
from relay.cli.violations_text import stacked_row, words_for
from relay.evidence import Action, Failure
from relay.reporting.store import Repeat

DAY = 86_400.0


@pytest.mark.parametrize("failure", list(Failure))
def test_every_reason_has_its_words(failure: Failure) -> None:
    assert words_for(failure.value) != failure.value


def test_every_action_has_its_words() -> None:
    assert set(_DONE) == set(Action)


def test_a_reason_of_a_later_version_is_told_as_it_is() -> None:
    assert words_for("new-trouble") == "new-trouble"


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (0.0, "12-31 00:00"),
        (179 * DAY, "07-05 00:00"),
        (181 * DAY, "2026-07-03"),
        (-DAY, "01-01 00:00"),  # a clock was put back
    ],
)
def test_a_time_is_short_and_plain(age: float, shown: str) -> None:
    now = 1798675200.0  # 2026-12-31
    one = Repeat("d.test", None, None, "x", "noted", 1, now - age, now - age, "a1", "")
    row = stacked_row(one, now)
    assert row[0] == ((shown, ""), ("a1", "dim"))
    assert row[1][1] == ("-", "")
    assert row[2][1] == ("no policy: noted", "")
