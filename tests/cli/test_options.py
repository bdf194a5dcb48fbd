"""Options that several commands share."""

import click
import pytest

from relay.cli.options import Moment
from relay.timestamp import parse_rfc3339

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - 30),
        ("90m", NOW - 5400),
        ("7d", NOW - 7 * 86_400),
        ("2026-09-01T07:00:00Z", parse_rfc3339("2026-09-01T07:00:00Z")),
        ("2026-09-01T07:00:00+02:00", parse_rfc3339("2026-09-01T05:00:00Z")),
        pytest.param("2026-09-01", parse_rfc3339("2026-09-01T00:00:00Z"), id="a date, in UTC"),
    ],
)
def test_a_moment(text: str, moment: float) -> None:
    assert Moment(NOW).convert(text, None, None) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "7w",
        "-7d",
        "1e3s",
        "\u0667d",
        "2026-9-1",
        "2026-02-30",
        "2026-13-01",
        "2026-09-01T07:00",
    ],
)
def test_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither an age"):
        Moment(NOW).convert(text, None, None)
