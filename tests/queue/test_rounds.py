"""When domains are looked at: soon at first, ever more seldom, and only so many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.queue.rounds import Rounds, spacing

MIDDLE = 0.5


@pytest.mark.parametrize(
    ("first", "looks", "dice", "seconds"),
    [
        (10.0, 0, MIDDLE, 10.0),
        (10.0, 1, MIDDLE, 20.0),
        (10.0, 5, MIDDLE, 320.0),
        (10.0, 6, MIDDLE, 600.0),
        (10.0, 5000, MIDDLE, 600.0),
        (3600.0, 0, MIDDLE, 3600.0),
        (3600.0, 7, MIDDLE, 3600.0),
        (10.0, 0, 0.0, 7.5),
        (10.0, 0, 1.0, 12.5),
    ],
)
def test_spacing(first: float, looks: int, dice: float, seconds: float) -> None:
    assert spacing(first, looks, dice) == pytest.approx(seconds)


@given(st.floats(1, 1e5), st.integers(0, 1000), st.floats(0, 1))
def test_a_look_is_never_at_once_nor_put_off_for_ever(
    first: float, looks: int, dice: float
) -> None:
    assert 0.75 * first <= spacing(first, looks, dice) <= max(first, 600.0) * 1.25


def rounds(*domains: str, limit: int = 100, first: float = 10.0) -> Rounds:
    made = Rounds(first, limit, lambda: MIDDLE)
    for domain in domains:
        made.add(domain, "old", 0.0)
    return made


def test_a_domain_comes_up_after_its_time_and_once() -> None:
    made = rounds("d.test")
    made.add("d.test", "old", 5.0)  # it is there already
    assert made.next_due() == 10.0
    assert made.take(9.9, 10) == []
    assert made.take(10.0, 10) == ["d.test"]
    assert made.take(99.0, 10) == []  # it is being looked at
    assert made.next_due() is None
    made.put_off("d.test", "old", 12.0)
    assert made.next_due() == 32.0
    made.drop("d.test")
    assert made.next_due() is None
    made.put_off("d.test", "old", 12.0)  # dropped while it was looked at
    assert made.next_due() is None


def test_the_longest_due_comes_first_and_no_more_than_asked_for() -> None:
    made = rounds("a.test", "b.test", "c.test")
    assert made.take(10.0, 2) == ["a.test", "b.test"]
    made.put_off("a.test", "old", 10.0)
    assert made.take(99.0, 2) == ["c.test", "a.test"]


def test_who_finds_no_room_comes_in_when_there_is_much() -> None:
    made = rounds("a.test", "b.test", "c.test", limit=2)
    assert made.overflown
    assert not made.has_room_again()
    assert made.take(10.0, 9) == ["a.test", "b.test"]
    made.drop("a.test")
    assert made.has_room_again()
    assert made.add("c.test", "old", 10.0)


@pytest.mark.parametrize(("known", "due"), [("old", 10.0), ("new", 3.0)])
def test_other_knowledge_of_a_domain_is_looked_into_at_once(known: str, due: float) -> None:
    made = rounds("d.test")
    made.notice(lambda _: known, 3.0)
    assert made.next_due() == due


def test_the_same_news_are_looked_into_once() -> None:
    made = rounds("d.test")
    made.notice(lambda _: "new", 3.0)
    made.take(3.0, 9)
    made.put_off("d.test", "new", 4.0)
    made.notice(lambda _: "new", 5.0)
    assert made.next_due() == 24.0


@pytest.mark.parametrize(
    ("count", "within"), [(1, 0.1), (50, 5.0), (1000, 10.0)], ids=["one", "some", "many"]
)
def test_all_are_looked_at_soon_but_not_at_once(count: int, within: float) -> None:
    dice = iter([MIDDLE] * count + [number / count for number in range(count)])
    made = Rounds(10.0, count, lambda: next(dice))
    for number in range(count):
        made.add(f"d{number}.test", "old", 0.0)
    made.hurry(1.0)
    assert len(made.take(1.0 + within, count)) == count
