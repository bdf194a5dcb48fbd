"""What is mailed to whom: envelope and message as they pass through the relay, without I/O."""

from collections.abc import Callable
from dataclasses import dataclass

_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # no vowels, so no words; fit for file names
_TIME_DIGITS = 10
_RANDOM_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a message to whom, and which extensions its content needs (not what was declared).

    `sender` None is the null reverse-path (RFC 5321 §4.5.5). Addresses are as the client wrote
    them, without angle brackets and source route. `smtputf8`: an address or the header holds UTF-8
    (RFC 6531). `eight_bit`: any octet of the content is 0x80 or above (RFC 6152). `requiretls` is
    RFC 8689's parameter.
    """

    sender: str | None
    recipients: tuple[str, ...]
    smtputf8: bool = False
    eight_bit: bool = False
    requiretls: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message the relay is about to become responsible for.

    `id` is the queue id told in the 250 reply. `body` is header and body with CRLF line ends, our
    `Received` line on top, not dot-stuffed. `created` is in seconds since 1970.
    """

    id: str
    envelope: Envelope
    body: bytes
    created: float


def new_queue_id(now: float, randbelow: Callable[[int], int]) -> str:
    """A queue id: sortable by time, unique by chance (1 in 800 million per microsecond)."""
    stamp = _digits(int(now * 1_000_000), _TIME_DIGITS)
    return stamp + _digits(randbelow(len(_ALPHABET) ** _RANDOM_DIGITS), _RANDOM_DIGITS)


def _digits(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
