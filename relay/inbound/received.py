"""The trace line this relay adds, and what a message's content needs on its way (RFC 5321 §4.4)."""

import re
from collections.abc import Sequence
from functools import lru_cache

from relay.address import plainest
from relay.immutable import immutable
from relay.timestamp import rfc5322

_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")
_CLIENT_NAME = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}", re.ASCII)
_LINE = 78  # RFC 5322 §2.1.1


@immutable
class Arrival:
    """How a message came in.

    `client` is what the client called itself, None where it did not; `address` its IP address, ""
    where it has none (a UNIX socket). `time` is in seconds since 1970.
    """

    client: str | None
    address: str
    protocol: str
    hostname: str
    queue_id: str
    time: float


# RFC 3848, RFC 6531 §4.3: the registered names; SMTP after HELO knows no TLS or AUTH
def protocol_name(*, extended: bool, utf8: bool, tls: bool, authenticated: bool) -> str:
    """The protocol's name in the WITH clause."""
    if not extended:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + "S" * tls + "A" * authenticated


# RFC 5321 §4.4: from, by, with, id, for, date. What the client said cannot reach beyond its word
def received_line(arrival: Arrival, recipients: Sequence[str]) -> bytes:
    """The Received field, folded, its CRLF included; only a single recipient is named."""
    lines = [
        _origin(arrival.client, arrival.address),
        _fold(f"by {arrival.hostname}", f"with {arrival.protocol}", f"id {arrival.queue_id}"),
    ]
    # RFC 5321 §7.2: several recipients need not know of one another
    if len(recipients) == 1:
        lines.append(f"for <{plainest(recipients[0])}>")
    return ("\r\n\t".join(lines) + f";\r\n\t{rfc5322(int(arrival.time))}\r\n").encode()


def count_received(header: bytes) -> int:
    """How many hosts have already passed the message on (RFC 5321 §6.3)."""
    return len(_RECEIVED.findall(header))


# RFC 6532 §3: a header in UTF-8 needs SMTPUTF8; octets that are no UTF-8 are only 8-bit content
def is_utf8(header: bytes) -> bool:
    """Whether a header holds UTF-8, whatever the client declared."""
    if header.isascii():
        return False
    try:
        header.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=256)  # a client has many messages
def _origin(client: str | None, address: str) -> str:
    words = ["Received:", f"from {_client_name(client)}"]
    if address:
        words.append(f"([{_literal(address)}])")
    return _fold(*words)


def _client_name(client: str | None) -> str:
    return client if client and _CLIENT_NAME.fullmatch(client) else "unknown"


def _literal(address: str) -> str:
    return f"IPv6:{address.partition('%')[0]}" if ":" in address else address


def _fold(*words: str) -> str:
    line = " ".join(words)
    return line if len(line) < _LINE else "\r\n\t".join(words)
