"""What is mailed to whom: envelope and message as they pass through the relay, without I/O."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import lru_cache

from relay.address import plainest
from relay.immutable import immutable

_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # no vowels, so no words; fit for file names
_PAIRS = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_QUARTER = len(_ALPHABET) ** 6  # microseconds, of an hour or nearly so
_CHANCES = len(_ALPHABET) ** 5


@immutable
class DsnRequest:
    """What the sender asks to be told of one recipient (RFC 3461 §4.1, §4.2).

    `notify` holds "NEVER" alone, or some of "SUCCESS", "FAILURE", "DELAY"; empty: nothing was
    asked. `orcpt` is the original recipient as received ("rfc822;" and xtext), None where there was
    none.
    """

    notify: tuple[str, ...] = ()
    orcpt: str | None = None

    # RFC 3461 §4.1: without NOTIFY the sender is told of failures and delays
    def wants(self, event: str) -> bool:
        """Whether the sender is to be told of "SUCCESS", "FAILURE" or "DELAY"."""
        return event in (self.notify or ("FAILURE", "DELAY"))


_NOTHING_ASKED = DsnRequest()


@immutable
class Envelope:
    """Who sent a message to whom, and which extensions its content needs (not what was declared).

    `sender` None is the null reverse-path (RFC 5321 §4.5.5). Addresses are as the client wrote
    them, without angle brackets and source route. `smtputf8`: an address or the header holds UTF-8
    (RFC 6531). `eight_bit`: any octet of the content is 0x80 or above (RFC 6152). `requiretls` is
    RFC 8689's parameter. `ret` ("FULL", "HDRS", None: not said) and `envid` (xtext as received) are
    those of RFC 3461; `dsn` has the requests by recipient, where any were made.
    """

    sender: str | None
    recipients: tuple[str, ...]
    smtputf8: bool = False
    eight_bit: bool = False
    requiretls: bool = False
    ret: str | None = None
    envid: str | None = None
    dsn: Mapping[str, DsnRequest] = field(default_factory=dict, hash=False)

    def asked(self, recipient: str) -> DsnRequest:
        """What the sender asks to be told of a recipient."""
        return self.dsn.get(recipient, _NOTHING_ASKED)

    @property
    def has_utf8_address(self) -> bool:
        """Whether the address of the sender or a recipient holds UTF-8 that A-labels cannot say."""
        return not all(plainest(one).isascii() for one in (self.sender or "", *self.recipients))

    def to(self, recipients: tuple[str, ...]) -> "Envelope":
        """The same envelope for some of its recipients."""
        if recipients == self.recipients:
            return self
        requests = {one: self.dsn[one] for one in recipients if one in self.dsn}
        return replace(self, recipients=recipients, dsn=requests)


@immutable
class Message:
    """A message the relay is about to become responsible for.

    `id` is the queue id told in the 250 reply. `body` is header and body with CRLF line ends, our
    `Received` line on top, not dot-stuffed. `created` is in seconds since 1970. A large message is
    `spooled`, a read-only view of a file, and then `body` is empty; `content` is whichever it is.
    `utf8_header`: the header holds UTF-8, so that SMTPUTF8 is needed whatever the addresses are.
    """

    id: str
    envelope: Envelope
    body: bytes
    created: float
    spooled: memoryview | None = None
    utf8_header: bool = False

    @property
    def content(self) -> bytes | memoryview:
        """Header and body, wherever they are."""
        return self.body if self.spooled is None else self.spooled


def new_queue_id(now: float, randbelow: Callable[[int], int]) -> str:
    """A queue id: sortable by time, unique by chance (1 in 28 million per microsecond).

    Eleven digits of microseconds, enough until the year 2775, and five of chance.
    """
    high, low = divmod(int(now * 1_000_000), _QUARTER)
    return _high_digits(high) + _six_digits(low) + _six_digits(randbelow(_CHANCES))[1:]


@lru_cache(maxsize=8)  # they change every quarter of an hour
def _high_digits(number: int) -> str:
    return _six_digits(number)[1:]


def _six_digits(number: int) -> str:
    rest, last = divmod(number, len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
