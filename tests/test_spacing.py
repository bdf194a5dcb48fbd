"""The spacing of warnings: one a minute, of each who is complained of."""

from relay.spacing import Spacing, Spacings


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


def test_who_makes_noise_hides_no_other() -> None:
    spacings = Spacings()
    assert [spacings.lets_through(key, 5.0) for key in "aabab"] == [0, None, 0, None, None]
    assert [spacings.lets_through(key, 65.0) for key in "ab"] == [2, 1]


def test_of_very_many_at_once_few_are_told() -> None:
    spacings = Spacings()
    told = [spacings.lets_through(number, 5.0) for number in range(5000)]
    assert len([one for one in told if one is not None]) == 1001
    # those of a minute ago are forgotten
    assert spacings.lets_through("new", 70.0) == 0
