"""What a setting may look like: tables of good and bad values."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import values
from tests.config.refusal import ANYTHING, refusal

WORD = values.one_of("encrypt", "verify")
SMALL = values.whole(1, 9)
PARSERS = [
    values.duration,
    values.duration_or_zero,
    values.duration_or_never,
    values.message_size,
    values.storage_url,
    values.path,
    values.remember,
    values.argument,
    WORD,
    SMALL,
]


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (values.duration, "30s", 30.0),
        (values.duration, "5m", 300.0),
        (values.duration, "4h", 14400.0),
        (values.duration, "5d", 432000.0),
        (values.duration, "3650d", 315360000.0),
        (values.duration_or_zero, "0s", 0.0),
        (values.duration_or_never, "never", None),
        (values.duration_or_never, "4h", 14400.0),
        (values.message_size, 1000, 1000),
        (values.message_size, "1000", 1000),
        (values.message_size, "64KiB", 65536),
        (values.message_size, "50MiB", 52428800),
        (values.storage_url, "sqlite:./var", "sqlite:./var"),
        (values.size, 0, 0),
        (values.rate, "10/s", 10.0),
        (values.rate, "90/m", 1.5),
        (values.rate, "3600/h", 1.0),
        (values.size, "64MiB", 2**26),
        (values.path, "ca.pem", Path("ca.pem")),
        (values.remember, True, True),
        (values.remember, False, False),
        (values.remember, "enforce", "enforce"),
        (values.argument, "--loud", "--loud"),
        (WORD, "verify", "verify"),
        (SMALL, 9, 9),
    ],
)
def test_good(parse: Callable[[object], object], written: object, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written", "allowed"),
    [
        (values.remember, 1, "true, false"),
        (values.remember, "true", "true, false"),
        (values.argument, "", "not empty"),
        (values.argument, "a\0", "not empty"),
        (values.size, "64 MiB", '"50MiB"'),
        (values.size, -1, '"50MiB"'),
        (values.rate, "0/s", '"100/m"'),
        (values.rate, "1 / s", '"100/m"'),
        (values.rate, 10, '"100/m"'),
        (values.duration, "90", '"30s", "5m", "4h" or "5d"'),
        (values.duration, 90, '"30s", "5m", "4h" or "5d"'),
        (values.duration, "5 m", '"5m"'),
        (values.duration, "-5m", '"5m"'),
        (values.duration, "1.5h", '"5m"'),
        (values.duration, "5M", '"5m"'),
        (values.duration, "5m\n", '"5m"'),
        (values.duration, "\u0665m", '"5m"'),
        (values.duration, "0s", 'longer than "0s"'),
        (values.duration, "3651d", 'at most "3650d"'),
        (values.duration_or_never, "Never", 'or "never"'),
        (values.duration_or_never, "0s", 'or "never"'),
        (values.message_size, 0, "size in bytes"),
        (values.message_size, -1, "size in bytes"),
        (values.message_size, True, "size in bytes"),
        (values.message_size, 1.5, "size in bytes"),
        (values.message_size, "50 MB", '"50MiB"'),
        (values.message_size, "1GiB", '"900MiB"'),
        (values.storage_url, "./var", '"sqlite:./var"'),
        (values.storage_url, "sqlite:", '"sqlite:./var"'),
        (values.storage_url, "postgresql://db/relay", '"sqlite:./var"'),
        (values.path, "", "path of a file"),
        (values.path, "a\0b", "path of a file"),
        (WORD, "Verify", '"encrypt" or "verify"'),
        (WORD, True, '"encrypt" or "verify"'),
        (SMALL, 10, "from 1 to 9"),
        (SMALL, "5", "from 1 to 9"),
        (SMALL, True, "from 1 to 9"),
        (values.whole(0), -1, "0 or more"),
    ],
)
def test_bad(parse: Callable[[object], object], written: object, allowed: str) -> None:
    words = refusal(parse, written) or "taken"
    assert words.startswith("must be ")
    assert allowed in words


@given(ANYTHING, st.sampled_from(PARSERS))
def test_nonsense_is_refused_in_words(written: object, parse: Callable[[object], object]) -> None:
    words = refusal(parse, written)
    assert words is None or words.startswith("must be ")
