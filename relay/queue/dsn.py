"""Telling a sender what became of the mail: multipart/report (RFC 6522, RFC 6533). Pure."""

from relay.address import plainest
from relay.envelope import DsnRequest, Envelope, Message
from relay.queue.dsn_status import status_lines
from relay.queue.dsn_text import explain
from relay.queue.mime import as_eight_bit, as_seven_bit, fits, lines_of
from relay.queue.notice import Fates, Notice
from relay.timestamp import rfc5322

_HEADER_LIMIT = 32_768  # octets of the original's header that go back
_WHOLE_LIMIT = 1_048_576  # octets of an original that goes back whole


def write_notice(notice: Notice, original: bytes, hostname: str, queue_id: str) -> Message:
    """The notice as a message; `original` is the one concerned, `queue_id` the notice's own."""
    to = plainest(notice.to)
    boundary = f"=_{queue_id}"  # nobody can have written it into what is quoted: it is new
    # RFC 6533 §3: who has an address in UTF-8 reads UTF-8; others are told in ASCII
    utf8 = not to.isascii()
    text = lines_of(explain(notice, hostname))
    status = lines_of(status_lines(notice, hostname, utf8=utf8))
    parts = [
        as_seven_bit("text/plain; charset=utf-8", text.encode("utf-8", "replace")),
        as_eight_bit("message/global-delivery-status", status.encode("utf-8", "replace"))
        if utf8
        else as_seven_bit("message/delivery-status", status.encode("ascii", "replace")),
        _returned(notice, original, utf8=utf8),
    ]
    head = lines_of(_header(notice, hostname, queue_id, boundary)).encode()
    opening = f"\r\n--{boundary}\r\n".encode()
    body = head + b"".join(opening + part for part in parts) + f"\r\n--{boundary}--\r\n".encode()
    # RFC 5321 §6.1, RFC 3461 §6.1: the reverse-path of a notice is null, and none is asked for
    envelope = Envelope(
        None,
        (to,),
        smtputf8=utf8,
        eight_bit=not body.isascii(),
        requiretls=notice.job.envelope.requiretls,
        dsn={to: DsnRequest(("NEVER",))},
    )
    return Message(queue_id, envelope, body, notice.now)


def _header(notice: Notice, hostname: str, queue_id: str, boundary: str) -> list[str]:
    return [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{plainest(notice.to)}>",
        f"Subject: {_subject(notice.fates)}",
        f"Date: {rfc5322(notice.now)}",
        f"Message-ID: <{queue_id}@{hostname.strip('[]')}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    ]


def _subject(fates: Fates) -> str:
    if fates.failed:
        return "Mail delivery failed"
    return "Mail delivery delayed" if fates.delayed else "Mail passed on"


# RFC 3461 §4.3: the whole message only where it was asked for and something has failed
def _returned(notice: Notice, original: bytes, *, utf8: bool) -> bytes:
    envelope = notice.job.envelope
    asked = envelope.ret == "FULL" and notice.fates.failed
    # RFC 8689 §5: what was to be kept from others' eyes does not go back
    secret = envelope.requiretls or len(original) > _WHOLE_LIMIT
    # who reads ASCII only cannot be sent a header in UTF-8
    if asked and not secret and fits(original) and (utf8 or not envelope.smtputf8):
        return as_eight_bit("message/global" if utf8 else "message/rfc822", original)
    if utf8:
        return as_eight_bit("message/global-headers", _header_of(original))
    return as_seven_bit("text/rfc822-headers", _header_of(original))


def _header_of(original: bytes) -> bytes:
    end = original.find(b"\r\n\r\n")
    header = original if end < 0 else original[: end + 2]
    if len(header) > _HEADER_LIMIT:
        header = header[: header.rfind(b"\r\n", 0, _HEADER_LIMIT) + 2]
    return header
