"""An SMTP reply and the only judge of permanent or transient (RFC 5321 §4.2.1)."""

import re
from enum import Enum
from functools import lru_cache

from relay.immutable import immutable

_ENHANCED = re.compile(r"([245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2}))(?:\s+|$)", re.ASCII)
_TEXT_LIMIT = 1000  # characters of a remote text that are kept: enough for a reason, no more


class Severity(Enum):
    """What the first digit of a reply means for what was asked."""

    SUCCESS = 2
    TRANSIENT = 4
    PERMANENT = 5


@immutable
class Reply:
    """A reply of a host, or our own decision in the same form.

    `enhanced` is the status code of RFC 3463, None where the host gave none; `text` is without it.
    """

    code: int
    enhanced: str | None
    text: str

    # RFC 5321 §4.2.1: the first digit decides; anything but 2, 4 and 5 is no answer: try again
    @property
    def severity(self) -> Severity:
        """Success, transient or permanent."""
        match self.code // 100:
            case 2:
                return Severity.SUCCESS
            case 5:
                return Severity.PERMANENT
            case _:
                return Severity.TRANSIENT

    # RFC 3463 §2: a status code's class agrees with the reply's
    @property
    def status(self) -> str:
        """The enhanced code, or the plainest one of the same class."""
        return self.enhanced or f"{self.severity.value}.0.0"

    def __str__(self) -> str:
        """The reply on one line, as a host would write it."""
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


def parse_reply(code: int, text: str) -> Reply:
    """A remote reply: control characters become spaces, length is bounded. Never raises."""
    return _parse(code, text[:_TEXT_LIMIT])


@lru_cache(maxsize=1024)  # hosts say the same again and again; what is kept is some MB at most
def _parse(code: int, clean: str) -> Reply:
    if not clean.isprintable():
        clean = "".join(char if char.isprintable() else " " for char in clean)
    clean = clean.strip(" ")
    found = _ENHANCED.match(clean)
    # RFC 2034 §4: a code of another class than the reply's is void
    if found and found[1][0] == str(code)[:1]:
        return Reply(code, found[1], clean[found.end() :])
    return Reply(code, None, clean)
