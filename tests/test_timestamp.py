"""RFC 3339 in UTC with milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.timestamp import parse_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1705406400, "2024-01-16T12:00:00.000Z"),
        (1705406400.1239, "2024-01-16T12:00:00.123Z"),
        (1705406400.9999996, "2024-01-16T12:00:01.000Z"),
    ],
)
def test_rfc3339(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text


@given(st.integers(0, 4_000_000_000))
def test_written_and_read_again(seconds: int) -> None:
    assert parse_rfc3339(rfc3339(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "24h", "2024-01-16", "2024-01-16T12:00:00", "yesterday"])
def test_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)
