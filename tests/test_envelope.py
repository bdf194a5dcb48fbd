"""Queue ids: sortable by time, unique by chance."""

from hypothesis import given
from hypothesis import strategies as st

from relay.envelope import new_queue_id

_SPACE = 30**6


@given(st.floats(0, 4e9), st.floats(0.001, 1e6), st.integers(0, _SPACE - 1))
def test_a_later_queue_id_sorts_later(now: float, later: float, dice: int) -> None:
    first = new_queue_id(now, lambda bound: bound - 1)
    second = new_queue_id(now + later, lambda bound: dice)
    assert first < second
    assert len(first) == len(second) == 16


def test_chance_tells_ids_of_one_moment_apart() -> None:
    assert new_queue_id(1e9, lambda bound: 0) != new_queue_id(1e9, lambda bound: 1)
    assert new_queue_id(1e9, lambda bound: bound - 1).endswith("ZZZZZZ")
