"""What a setting may look like in the file, and what becomes of it. Knows neither keys nor files.

Every function here raises a ValueError that says what is allowed.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeGuard

_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 3650 * 86400
_RATE = re.compile(r"([1-9][0-9]{0,8})/([smhd])")
_SIZE = re.compile(r"(\d{1,12})(KiB|MiB|GiB)?", re.ASCII)
_OCTETS = {None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LARGEST_MESSAGE = 900 * 2**20  # a row of the embedded database ends at 10^9 octets


def duration_or_zero(value: object) -> float:
    """Seconds of a text such as "30s"; zero is allowed."""
    found = _DURATION.fullmatch(text_of(value))
    if not found:
        raise ValueError('must be a duration such as "30s", "5m", "4h" or "5d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError('must be at most "3650d"')
    return float(seconds)


def duration(value: object) -> float:
    """Seconds of a text such as "30s", more than zero."""
    seconds = duration_or_zero(value)
    if not seconds:
        raise ValueError('must be longer than "0s"')
    return seconds


def duration_or_never(value: object) -> float | None:
    """Seconds, or None for "never"."""
    try:
        return None if value == "never" else duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "never"') from None


def rate(value: object) -> float:
    """How many a second, of a text such as "100/m"."""
    found = _RATE.fullmatch(text_of(value))
    if not found:
        raise ValueError('must be a number in a time, such as "10/s", "100/m" or "1000/h"')
    return int(found[1]) / _SECONDS[found[2]]


def size(value: object) -> int:
    """Octets, as a number or a text such as "50MiB"."""
    found = _SIZE.fullmatch(str(value) if _is_whole(value) else text_of(value))
    if not found:
        raise ValueError('must be a size in bytes, or one such as "50MiB"')
    return int(found[1]) * _OCTETS[found[2]]


def message_size(value: object) -> int:
    """Octets of a message, as in `size`."""
    try:
        octets = size(value)
    except ValueError:
        octets = 0
    if not 0 < octets <= _LARGEST_MESSAGE:
        raise ValueError('must be a size in bytes, or one such as "50MiB", up to "900MiB"')
    return octets


def storage_url(value: object) -> str:
    """Where the embedded databases lie."""
    scheme, _, directory = text_of(value).partition(":")
    if scheme != "sqlite" or not directory or "\0" in directory:
        raise ValueError('must be "sqlite:" and a directory, such as "sqlite:./var"')
    return f"sqlite:{directory}"


def path(value: object) -> Path:
    """A file, as yet relative to the configuration's directory."""
    text = text_of(value)
    if not text or "\0" in text:
        raise ValueError('must be the path of a file, such as "./ca.pem"')
    return Path(text)


def argument(value: object) -> str:
    """A word of a command."""
    text = text_of(value)
    if not text or "\0" in text:
        raise ValueError("must be a text that is not empty")
    return text


def remember(value: object) -> bool | str:
    """Whether TLS levels are remembered, and ("enforce") nothing less will do."""
    if isinstance(value, bool) or value == "enforce":
        return value if isinstance(value, bool) else "enforce"
    raise ValueError('must be true, false or "enforce"')


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        word = text_of(value)
        if word not in words:
            raise ValueError("must be " + " or ".join(f'"{each}"' for each in words))
        return word

    return parse


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """A whole number within these bounds, both included."""
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"

    def parse(value: object) -> int:
        if not _is_whole(value) or value < least or (most is not None and value > most):
            raise ValueError(f"must be a whole number, {bounds}")
        return value

    return parse


def text_of(value: object) -> str:
    """The value; what is no text becomes one that no rule takes."""
    return value if isinstance(value, str) else ""


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
