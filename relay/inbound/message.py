"""A message as it is kept, and whom it is from, from what aiosmtpd's session and envelope say.

Judges nothing.
"""

import secrets
from typing import Any

from aiosmtpd.smtp import Envelope as Transaction
from aiosmtpd.smtp import Session

from relay.envelope import DsnRequest, Envelope, Message, new_queue_id
from relay.immutable import immutable
from relay.inbound.dsn import dsn_request, value_of
from relay.inbound.received import Arrival, is_utf8, protocol_name, received_line
from relay.inbound.upload import Body

NULL_PATH = "<>"


@immutable
class Origin:
    """Whom a message is from: `address` "" for a UNIX socket, `user` where one has logged in."""

    address: str
    user: str | None
    tls: bool


def outgoing(envelope: Transaction, arrival: Arrival, header: bytes, body: Body) -> Message:
    """The message as it is kept: a Received line on top, nothing else touched (RFC 5321 §3.6.3)."""
    sender = None if envelope.mail_from in (None, NULL_PATH) else envelope.mail_from
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


def arrival_of(session: Session, envelope: Transaction, hostname: str, now: float) -> Arrival:
    """How a message came in, with a new queue id."""
    return Arrival(
        client=session.host_name,
        address=peer_of(session),
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


def _upper(text: str | None) -> str | None:
    return text and text.upper()


# A recipient named twice: what was asked first
def _requests(envelope: Transaction) -> dict[str, DsnRequest]:
    requests: dict[str, DsnRequest] = {}
    for recipient, options in zip(envelope.rcpt_tos, envelope.rcpt_options, strict=False):
        if options:
            requests.setdefault(recipient, dsn_request(options.split(" ")))
    return requests


# What someone else's authenticator leaves there may hold a password; ours leaves the name
def origin_of(session: Session) -> Origin:
    """Whom a message in this session is from."""
    user: Any = session.auth_data
    name = user if isinstance(user, str) else None
    return Origin(peer_of(session), name, session.ssl is not None)


def peer_of(session: Session) -> str:
    """The client's IP address, "" where it has none."""
    peer: Any = session.peer
    return str(peer[0]) if isinstance(peer, tuple) else ""


# Someone else's aiosmtpd may decode the content; the octets are kept beside it
def octets_of(envelope: Transaction) -> bytes:
    """The content as it came."""
    if envelope.original_content is not None:
        return envelope.original_content
    content = envelope.content or b""
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
