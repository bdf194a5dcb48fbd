"""The pauses between tries."""

import pytest

from relay.queue.patience import pause


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (100_000, 60)]
)
def test_pauses_grow_to_a_minute(tries: int, seconds: float) -> None:
    assert pause(tries) == seconds
