"""aiosmtpd's hooks: who may send what, and the 250 that means the mail is safe (RFC 5321 §6.1).

Works with aiosmtpd's own SMTP class as with ours; what was accepted is as safe with either.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as ClientEnvelope

from relay.address import AddressError, Network, parse_mailbox
from relay.clock import Clock
from relay.envelope import Envelope, Message, new_queue_id
from relay.errors import StorageError
from relay.inbound.access import may_relay
from relay.inbound.received import (
    Arrival,
    count_received,
    has_bare_line_end,
    needs_smtputf8,
    protocol_name,
    received_line,
)

log = logging.getLogger(__name__)

_NULL_PATH = "<>"
_MAX_RECEIVED = 100  # RFC 5321 §6.3
_LATER = "451 4.3.0 The mail cannot be kept now, try again later"


@dataclass(frozen=True, slots=True)
class AcceptSettings:
    """What the operator decides about taking mail in; sizes in octets."""

    hostname: str
    allow: Sequence[Network]
    max_message_size: int
    max_recipients: int


class AcceptHooks:
    """Judges MAIL, RCPT and DATA; hands each message to `accept` before it is answered 250."""

    def __init__(
        self,
        accept: Callable[[Message], Awaitable[None]],
        settings: AcceptSettings,
        clock: Clock,
    ) -> None:
        """`accept` returns when the message is safe on disk, or raises StorageError."""
        self._accept = accept
        self._settings = settings
        self._clock = clock

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: ClientEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        """Take the reverse-path; "<>" is the null one."""
        if address != _NULL_PATH:
            try:
                parse_mailbox(address)
            except AddressError as error:
                return f"553 5.1.7 The sender is refused: {_ascii(error)}"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender ok"

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: ClientEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        """Take a recipient, from those who may relay only."""
        # RFC 5321 §3.6.2: never an open relay
        if not may_relay(_peer_address(session), self._settings.allow):
            return "550 5.7.1 Relaying denied: this client is not allowed to send mail here"
        # RFC 5321 §4.5.3.1.10: the excess is put off, the rest stays
        if len(envelope.rcpt_tos) >= self._settings.max_recipients:
            return "452 4.5.3 Too many recipients, send the rest in another transaction"
        try:
            parse_mailbox(address)
        except AddressError as error:
            return f"553 5.1.3 The recipient is refused: {_ascii(error)}"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient ok"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope
    ) -> str:
        """Keep the message, then answer; whatever goes wrong, nothing is kept and it is 4yz."""
        content = _octets(envelope)
        if refusal := self._refusal(content):
            return refusal
        message = self._outgoing(session, envelope, content)
        try:
            await self._accept(message)
        except StorageError:
            log.exception("a message was not accepted")
            return _LATER
        return f"250 2.0.0 queued as {message.id}"

    async def handle_exception(self, error: Exception) -> str:
        """Anything unforeseen means "later", and tells the client nothing."""
        log.error("a client's command failed", exc_info=error)
        return _LATER

    def _refusal(self, content: bytes) -> str | None:
        if len(content) > self._settings.max_message_size:
            return f"552 5.3.4 The message is larger than {self._settings.max_message_size} octets"
        # RFC 5321 §2.3.8: neither passed on nor guessed at
        if has_bare_line_end(content):
            return "550 5.6.0 The message holds a CR or LF that is not part of a CRLF"
        if count_received(content) >= _MAX_RECEIVED:
            return "554 5.4.6 The message has passed too many hosts: a mail loop"
        return None

    def _outgoing(self, session: Session, envelope: ClientEnvelope, content: bytes) -> Message:
        now = self._clock.now()
        sender = None if envelope.mail_from in (None, _NULL_PATH) else envelope.mail_from
        recipients = tuple(envelope.rcpt_tos)
        utf8 = needs_smtputf8((*recipients, sender or ""), content)
        arrival = Arrival(
            helo=session.host_name,
            peer=_peer_address(session),
            protocol=protocol_name(
                extended=session.extended_smtp,
                utf8=utf8,
                tls=session.ssl is not None,
                authenticated=bool(session.authenticated),
            ),
            hostname=self._settings.hostname,
            queue_id=new_queue_id(now, secrets.randbelow),
            time=now,
        )
        needs = Envelope(sender, recipients, smtputf8=utf8, eight_bit=not content.isascii())
        return Message(arrival.queue_id, needs, received_line(arrival, recipients) + content, now)


def _peer_address(session: Session) -> str:
    peer: Any = session.peer
    return str(peer[0]) if isinstance(peer, tuple) else ""


# With `decode_data` someone else's aiosmtpd hands over text; the octets are kept beside it
def _octets(envelope: ClientEnvelope) -> bytes:
    content = envelope.original_content
    return content if content is not None else b""


def _ascii(error: AddressError) -> str:
    return ascii(str(error))[1:-1]
