"""aiosmtpd's hooks: who may send what, and the 250 that means the mail is safe (RFC 5321 §6.1).

They work with aiosmtpd's own SMTP class as with ours: what was accepted is as safe with either.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Transaction

from relay.address import AddressError, Network, parse_mailbox
from relay.clock import Clock
from relay.envelope import Message
from relay.errors import StorageError, StorageFullError
from relay.immutable import immutable
from relay.inbound.access import may_relay
from relay.inbound.complaints import Complaints
from relay.inbound.framing import Content
from relay.inbound.message import (
    NULL_PATH,
    Origin,
    arrival_of,
    octets_of,
    origin_of,
    outgoing,
    peer_of,
)
from relay.inbound.received import count_received
from relay.inbound.upload import Body

log = logging.getLogger(__name__)

_LATER = "451 4.3.0 Trouble on this side: nothing was kept, try again later"
_NO_ROOM = "452 4.3.1 No room to keep the message now, try again later"


@immutable
class AcceptSettings:
    """What the operator decides about taking mail in; sizes in octets.

    `max_received`: so many hosts before this one are a loop (RFC 5321 §6.3). `normalise`: a bare CR
    or LF becomes a CRLF rather than a refusal. `postmaster` None: ours is at `hostname`.
    """

    hostname: str
    allow: Sequence[Network]
    max_message_size: int
    max_recipients: int
    max_received: int
    normalise: bool
    postmaster: str | None = None

    # RFC 5321 §4.5.1: without a domain too, in any case; at our own name it would be a mail loop
    def own_postmaster(self, address: str) -> str | None:
        """Where mail for this address goes if it means our postmaster, else None."""
        name, _, domain = address.partition("@")
        if name.lower() != "postmaster" or domain.lower() not in ("", self.hostname.lower()):
            return None
        return self.postmaster or f"{name}@{self.hostname}"


class AcceptHooks:
    """Judges MAIL, RCPT and DATA; hands each message to `accept` before it is answered 250."""

    def __init__(
        self,
        accept: Callable[[Message, Origin], Coroutine[Any, Any, None]],
        settings: AcceptSettings,
        clock: Clock,
    ) -> None:
        """`accept` returns when the message is safe on disk, or raises StorageError.

        aiosmtpd cancels a hook when its client goes away: what `accept` has begun must go on then,
        for half-kept is worse than kept twice.
        """
        self._accept = accept
        self._settings = settings
        self._clock = clock
        self._complaints = Complaints()

    def renew(self, settings: AcceptSettings) -> None:
        """Judge by these from now on."""
        self._settings = settings

    def take_sender(self, envelope: Transaction, address: str, options: list[str]) -> str:
        """Judge the reverse-path, "<>" for the null one, and note it; the reply to MAIL."""
        limit = self._settings.max_message_size
        if _declared_size(options) > limit:
            return _too_large(limit)
        if address != NULL_PATH and (fault := _fault(address, envelope)):
            return f"553 {fault[0] or '5.1.7'} The sender is refused: {fault[1]}"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender taken"

    def take_recipient(
        self, session: Session, envelope: Transaction, address: str, options: list[str]
    ) -> str:
        """Take one from those who may relay, and from no one else; the reply to RCPT."""
        # RFC 5321 §3.6.2: never an open relay
        if not (session.authenticated or may_relay(peer_of(session), self._settings.allow)):
            why = "may not relay: not in server.allow"
            self._complaints.tell(peer_of(session), "relaying", why)
            return "550 5.7.1 Relaying denied: this client may not send mail through here"
        # RFC 5321 §4.5.3.1.10: the excess is put off, those before it stay
        if len(envelope.rcpt_tos) >= self._settings.max_recipients:
            return "452 4.5.3 Too many recipients, send to the others in another transaction"
        address = self._settings.own_postmaster(address) or address
        if fault := _fault(address, envelope):
            return f"553 {fault[0] or '5.1.3'} The recipient is refused: {fault[1]}"
        envelope.rcpt_tos.append(address)
        # one entry a recipient: the library, which takes none, would put all of them in one list
        envelope.rcpt_options.append(" ".join(options))
        return "250 2.1.5 Recipient taken"

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name, as are all of these
        self,
        server: SMTP,
        session: Session,
        envelope: Transaction,
        address: str,
        options: list[str],
    ) -> str:
        """Take the reverse-path; "<>" is the null one."""
        return self.take_sender(envelope, address, options)

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Transaction,
        address: str,
        options: list[str],
    ) -> str:
        """Take a recipient."""
        return self.take_recipient(session, envelope, address, options)

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction
    ) -> str:
        """Judge and keep what someone else's aiosmtpd has read whole."""
        content = Content(self._settings.max_message_size, normalise=self._settings.normalise)
        content.take(octets_of(envelope))
        if refusal := self.refusal_of(session, content):
            return refusal
        body = Body(content.drain(), eight_bit=content.eight_bit)
        return await self.keep(session, envelope, body)

    def refusal_of(self, session: Session, content: Content) -> str | None:
        """The reply to a content that is not to be kept."""
        refusal = None
        if content.too_large:
            refusal = _too_large(self._settings.max_message_size)
        # RFC 5321 §2.3.8: not passed on
        elif content.bare and not self._settings.normalise:
            refusal = "550 5.6.0 The message holds a CR or an LF that is not part of a CRLF"
        if refusal:
            self._complaints.tell(peer_of(session), refusal, f"a message was refused: {refusal}")
        return refusal

    async def keep(self, session: Session, envelope: Transaction, body: Body) -> str:
        """Keep the message, then answer; with any other answer than 250 nothing is kept."""
        header = body.header()
        if count_received(header) >= self._settings.max_received:
            self._complaints.tell(peer_of(session), "loop", "a message was refused: a mail loop")
            return "554 5.4.6 The message has passed too many hosts: a mail loop"
        arrival = arrival_of(session, envelope, self._settings.hostname, self._clock.now())
        try:
            message = outgoing(envelope, arrival, header, body)
            await self._accept(message, origin_of(session))
        except StorageError as error:
            return self.put_off(error)
        return f"250 2.0.0 queued as {message.id}"

    def put_off(self, trouble: StorageError) -> str:
        """The reply where the storage is in trouble; nothing is kept."""
        what = f"a message was put off: {trouble}"
        self._complaints.tell("", "storage", what, level=logging.ERROR)
        return _NO_ROOM if isinstance(trouble, StorageFullError) else _LATER

    async def handle_NOOP(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction, arg: str
    ) -> str:
        """Do nothing; this and the next three so that replies of the library have a status code."""
        return "250 2.0.0 Done"

    async def handle_RSET(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction
    ) -> str:
        """Forget the transaction, which the library has done."""
        return "250 2.0.0 Forgotten"

    async def handle_VRFY(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction, address: str
    ) -> str:
        """Neither confirm nor deny (RFC 5321 §7.3)."""
        return "252 2.0.0 Not known before delivery is tried"

    async def handle_QUIT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction
    ) -> str:
        """Part."""
        return "221 2.0.0 Goodbye"

    async def handle_exception(self, error: Exception) -> str:
        """Anything unforeseen means "later"."""
        return self.unforeseen(error)

    def unforeseen(self, error: Exception) -> str:
        """The reply to anything unforeseen: "later", and the client is told nothing of it."""
        log.error("a command failed", exc_info=error)
        return _LATER


def _too_large(limit: int) -> str:
    return f"552 5.3.4 The message is larger than {limit} octets"


def _declared_size(options: Sequence[str]) -> int:
    found = (option[5:] for option in options if option[:5].upper() == "SIZE=")
    return max((int(size) for size in found if size.isascii() and size.isdigit()), default=0)


# An enhanced code where the fault has one of its own, and what is wrong in ASCII
def _fault(address: str, envelope: Transaction) -> tuple[str, str] | None:
    # RFC 6531 §3.4: the parameter announces such addresses
    if not address.isascii() and not envelope.smtp_utf8:
        return "5.6.7", "an address in UTF-8 needs SMTPUTF8"
    try:
        parse_mailbox(address)
    except AddressError as error:
        return "", ascii(str(error))[1:-1]
    return None
