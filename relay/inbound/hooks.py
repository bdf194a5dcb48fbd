"""aiosmtpd's hooks: who may send what, and the 250 that means the mail is safe (RFC 5321 §6.1).

They work with aiosmtpd's own SMTP class as with ours: what was accepted is as safe with either.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as Transaction

from relay.address import AddressError, Network, parse_mailbox
from relay.clock import Clock
from relay.envelope import DsnRequest, Envelope, Message, new_queue_id
from relay.errors import StorageError, StorageFullError
from relay.inbound.access import may_relay
from relay.inbound.dsn import dsn_request, value_of
from relay.inbound.framing import Content
from relay.inbound.received import (
    Arrival,
    count_received,
    is_utf8,
    protocol_name,
    received_line,
)
from relay.inbound.upload import Body

log = logging.getLogger(__name__)

_NULL_PATH = "<>"
_LATER = "451 4.3.0 Trouble on this side: nothing was kept, try again later"
_NO_ROOM = "452 4.3.1 No room to keep the message now, try again later"


@dataclass(frozen=True, slots=True)
class AcceptSettings:
    """What the operator decides about taking mail in; sizes in octets.

    `max_received`: so many hosts before this one are a loop (RFC 5321 §6.3). `normalise`: a bare CR
    or LF becomes a CRLF rather than a refusal.
    """

    hostname: str
    allow: Sequence[Network]
    max_message_size: int
    max_recipients: int
    max_received: int
    normalise: bool


class AcceptHooks:
    """Judges MAIL, RCPT and DATA; hands each message to `accept` before it is answered 250."""

    def __init__(
        self,
        accept: Callable[[Message], Coroutine[Any, Any, None]],
        settings: AcceptSettings,
        clock: Clock,
    ) -> None:
        """`accept` returns when the message is safe on disk, or raises StorageError."""
        self._accept = accept
        self._settings = settings
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    def renew(self, settings: AcceptSettings) -> None:
        """Judge by these from now on."""
        self._settings = settings

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Transaction,
        address: str,
        mail_options: list[str],
    ) -> str:
        """Take the reverse-path; "<>" is the null one."""
        limit = self._settings.max_message_size
        if _declared_size(mail_options) > limit:
            return _too_large(limit)
        if address != _NULL_PATH and (fault := _fault(address, envelope)):
            return f"553 {fault[0] or '5.1.7'} The sender is refused: {fault[1]}"
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 Sender taken"

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Transaction,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        """Take a recipient from those who may relay, and from no one else."""
        # RFC 5321 §3.6.2: never an open relay
        if not (session.authenticated or may_relay(_peer(session), self._settings.allow)):
            log.warning("%s may not relay: not in server.allow", _peer(session) or "a client")
            return "550 5.7.1 Relaying denied: this client may not send mail through here"
        # RFC 5321 §4.5.3.1.10: the excess is put off, those before it stay
        if len(envelope.rcpt_tos) >= self._settings.max_recipients:
            return "452 4.5.3 Too many recipients, send to the others in another transaction"
        # RFC 5321 §4.5.1: postmaster without a domain is ours
        if address.lower() == "postmaster":
            address = f"{address}@{self._settings.hostname}"
        if fault := _fault(address, envelope):
            return f"553 {fault[0] or '5.1.3'} The recipient is refused: {fault[1]}"
        envelope.rcpt_tos.append(address)
        # one entry a recipient: the library, which takes none, would put all of them in one list
        envelope.rcpt_options.append(" ".join(rcpt_options))
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Transaction
    ) -> str:
        """Judge and keep what someone else's aiosmtpd has read whole."""
        content = Content(self._settings.max_message_size, normalise=self._settings.normalise)
        content.take(_octets(envelope))
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
            log.warning("%s: a message was refused: %s", _peer(session) or "a client", refusal)
        return refusal

    async def keep(self, session: Session, envelope: Transaction, body: Body) -> str:
        """Keep the message, then answer; with any other answer than 250 nothing is kept."""
        header = body.header()
        if count_received(header) >= self._settings.max_received:
            log.warning("%s: a message was refused: a mail loop", _peer(session) or "a client")
            return "554 5.4.6 The message has passed too many hosts: a mail loop"
        arrival = _arrival(session, envelope, self._settings.hostname, self._clock.now())
        message = outgoing(envelope, arrival, header, body)
        try:
            await self._finish(self._accept(message))
        except StorageError as error:
            return self.put_off(error)
        return f"250 2.0.0 queued as {message.id}"

    def put_off(self, trouble: StorageError) -> str:
        """The reply where the storage is in trouble; nothing is kept."""
        log.error("a message was put off: %s", trouble)
        return _NO_ROOM if isinstance(trouble, StorageFullError) else _LATER

    async def handle_exception(self, error: Exception) -> str:
        """Anything unforeseen means "later"; the client is told nothing of it."""
        log.error("a command failed", exc_info=error)
        return _LATER

    # aiosmtpd cancels a hook when its client goes away; half-kept is worse than kept twice
    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)


def outgoing(envelope: Transaction, arrival: Arrival, header: bytes, body: Body) -> Message:
    """The message as it is kept: a Received line on top, nothing else touched (RFC 5321 §3.6.3)."""
    sender = None if envelope.mail_from in (None, _NULL_PATH) else envelope.mail_from
    recipients = tuple(dict.fromkeys(envelope.rcpt_tos))
    utf8_header = is_utf8(header)
    needs = Envelope(
        sender,
        recipients,
        smtputf8=utf8_header or not all(map(str.isascii, (sender or "", *recipients))),
        eight_bit=body.eight_bit,
        ret=_upper(value_of("RET", envelope.mail_options)),
        envid=value_of("ENVID", envelope.mail_options),
        dsn=_requests(envelope),
    )
    whole = body.under(received_line(arrival, recipients))
    if isinstance(whole, bytes):
        return Message(arrival.queue_id, needs, whole, arrival.time, utf8_header=utf8_header)
    return Message(arrival.queue_id, needs, b"", arrival.time, whole, utf8_header)


def _arrival(session: Session, envelope: Transaction, hostname: str, now: float) -> Arrival:
    return Arrival(
        client=session.host_name,
        address=_peer(session),
        protocol=protocol_name(
            extended=session.extended_smtp,
            utf8=envelope.smtp_utf8,
            tls=session.ssl is not None,
            authenticated=bool(session.authenticated),
        ),
        hostname=hostname,
        queue_id=new_queue_id(now, secrets.randbelow),
        time=now,
    )


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


def _upper(text: str | None) -> str | None:
    return text and text.upper()


# A recipient named twice: what was asked first
def _requests(envelope: Transaction) -> dict[str, DsnRequest]:
    requests: dict[str, DsnRequest] = {}
    for recipient, options in zip(envelope.rcpt_tos, envelope.rcpt_options, strict=False):
        if options:
            requests.setdefault(recipient, dsn_request(options.split(" ")))
    return requests


def _peer(session: Session) -> str:
    peer: Any = session.peer
    return str(peer[0]) if isinstance(peer, tuple) else ""


# Someone else's aiosmtpd may decode the content; the octets are kept beside it
def _octets(envelope: Transaction) -> bytes:
    if envelope.original_content is not None:
        return envelope.original_content
    content = envelope.content or b""
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
