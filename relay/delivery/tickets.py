"""TLS sessions to be resumed, and for how long (RFC 8446 §2.2, RFC 5077). Knows no host.

A resumed handshake shows no certificate: it stands on what the full one before it has verified.
"""

import math
import ssl
from collections.abc import Callable, Hashable
from contextvars import ContextVar

from relay.immutable import immutable

_LONGEST = 3600.0  # seconds since the full handshake; roots and intermediates end too
_LIMIT = 500  # tickets kept; beyond it the one longest unchanged is forgotten


class Offered:
    """What a connection's handshake offers to resume; `session` None: a full handshake."""

    def __init__(self) -> None:
        """A full handshake."""
        self.session: ssl.SSLSession | None = None


# `start_tls` has no place for it. asyncio begins the handshake in its caller's context, uvloop in
# that of whoever made the connection
offered: ContextVar[Offered] = ContextVar("offered")
"""For a connection that is made, or a handshake that is begun, in this context."""


class ResumingContext(ssl.SSLContext):
    """A client's TLS context whose connections offer what `offered` says."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As any other, but for the session."""
        if place := offered.get(None):
            session = place.session
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


@immutable
class _Life:
    """From the full handshake to when its verification is worth nothing, in seconds since 1970."""

    since: float
    until: float

    # a clock that was put back makes nothing younger
    def holds(self, now: float) -> bool:
        return self.since <= now < self.until


@immutable
class _Ticket:
    session: ssl.SSLSession
    life: _Life


class Tickets:
    """The last ticket of each key; of use only with the very TLS contexts it came by."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` tells seconds since 1970."""
        self._now = now
        self._kept: dict[Hashable, _Ticket] = {}

    def at(self, key: Hashable) -> "Resumption":
        """What one new connection does with them; the key is all that must be the same."""
        return Resumption(self, key, self._now)

    def find(self, key: Hashable) -> _Ticket | None:
        """The ticket that may be offered now."""
        ticket = self._kept.get(key)
        return ticket if ticket and ticket.life.holds(self._now()) else None

    def keep(self, key: Hashable, ticket: _Ticket) -> None:
        """In place of the one before."""
        self._kept.pop(key, None)
        self._kept[key] = ticket
        if len(self._kept) > _LIMIT:
            del self._kept[next(iter(self._kept))]

    def forget(self, key: Hashable) -> None:
        """The next handshake is a full one."""
        self._kept.pop(key, None)


class Resumption:
    """One connection's part: it offers a ticket and leaves one for the next connection."""

    def __init__(self, tickets: Tickets, key: Hashable, now: Callable[[], float]) -> None:
        """Made by `Tickets.at`."""
        self._tickets = tickets
        self._key = key
        self._now = now
        self._offered: _Ticket | None = None
        self._refused = False
        self._begun = now()

    def offer(self) -> ssl.SSLSession | None:
        """The session to resume, for a handshake that begins now; None: there is none."""
        self._begun = self._now()
        self._offered = None if self._refused else self._tickets.find(self._key)
        return self._offered.session if self._offered else None

    def keep(self, tls: ssl.SSLObject) -> None:
        """Keep the ticket of a connection that is of use, if its handshake was a full one; in TLS
        1.3 it comes after the handshake. To take one costs as much as half of what it saves, so
        it serves until it is too old or refused (RFC 8446 §C.4 is about clients who would hide)."""
        if tls.session_reused:
            return
        session = tls.session
        if session and session.has_ticket:
            self._tickets.keep(self._key, _Ticket(session, self._life_of(tls)))

    def refuse(self) -> bool:
        """The handshake came to nothing: offer no ticket again. Whether one had been offered."""
        offered_one, self._offered = self._offered is not None, None
        if offered_one:
            self._refused = True
            self._tickets.forget(self._key)
        return offered_one

    # Where nobody looks at the certificate, its end says nothing
    def _life_of(self, tls: ssl.SSLObject) -> _Life:
        end = (tls.getpeercert() or {}).get("notAfter")
        expiry = ssl.cert_time_to_seconds(str(end)) if end else math.inf
        return _Life(self._begun, min(expiry, self._begun + _LONGEST))
