"""The trace line this relay adds, and what a message's content needs on its way. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

_HEADER_END = b"\r\n\r\n"
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")
_HELO = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message came in. `helo` is what the client called itself, None where it did not."""

    helo: str | None
    peer: str
    protocol: str  # "SMTP", "ESMTP", "UTF8SMTPS" ... (RFC 3848, RFC 6531 §4.3)
    hostname: str
    queue_id: str
    time: float


def protocol_name(*, extended: bool, utf8: bool, tls: bool, authenticated: bool) -> str:
    """The name of the protocol in the WITH clause."""
    name = "UTF8SMTP" if utf8 else "ESMTP" if extended else "SMTP"
    return name if name == "SMTP" else name + "S" * tls + "A" * authenticated


# RFC 5321 §4.4: from, by, with, id, for a single recipient only, date with a numeric zone
def received_line(arrival: Arrival, recipients: tuple[str, ...]) -> bytes:
    """The Received line, folded, its CRLF included."""
    helo = arrival.helo if arrival.helo and _HELO.fullmatch(arrival.helo) else "unknown"
    tag = "IPv6:" if ":" in arrival.peer else ""
    lines = [
        f"Received: from {helo} ([{tag}{arrival.peer}])",
        f"by {arrival.hostname} with {arrival.protocol} id {arrival.queue_id}",
    ]
    if len(recipients) == 1:
        lines.append(f"for <{recipients[0]}>")
    lines[-1] += ";"
    lines.append(format_datetime(datetime.fromtimestamp(arrival.time, UTC)))
    return ("\r\n\t".join(lines) + "\r\n").encode("utf-8")


def count_received(content: bytes) -> int:
    """How many hosts have already passed the message on (RFC 5321 §6.3)."""
    return len(_RECEIVED.findall(_header(content)))


def has_bare_line_end(content: bytes) -> bool:
    """Whether a CR or LF stands alone (RFC 5321 §2.3.8): the stuff smuggling is made of."""
    pairs = content.count(b"\r\n")
    return content.count(b"\n") != pairs or content.count(b"\r") != pairs


# RFC 6532 §3: a header in UTF-8 needs SMTPUTF8; octets that are no UTF-8 are only 8-bit content
def needs_smtputf8(addresses: tuple[str, ...], content: bytes) -> bool:
    """Whether addresses or header hold UTF-8, whatever the client declared."""
    if not all(address.isascii() for address in addresses):
        return True
    header = _header(content)
    if header.isascii():
        return False
    try:
        header.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _header(content: bytes) -> bytes:
    end = content.find(_HEADER_END)
    return content if end < 0 else content[: end + 2]
