"""Telling a sender what became of the mail: multipart/report (RFC 3464, RFC 6522). Pure."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from relay.envelope import Envelope, Message
from relay.outcome import Outcome, Reason
from relay.queue.job import Job

_HEADER_LIMIT = 32_768  # octets of the original's header that go back
_WIDTH = 76
_ADVICE = {
    Reason.POLICY: "The recipient's domain publishes an MTA-STS policy that its own mail hosts do "
    "not meet. The operators of that domain must repair the host, its certificate or the policy.",
    Reason.TLS_FLOOR: "This relay is configured to require TLS here (a local rule, not the "
    "recipient's); the recipient's host did not offer what the rule asks for.",
    Reason.DNS: "The mail hosts of the recipient's domain could not be found in DNS. Check the "
    "address; if it is right, the operators of that domain must repair their DNS.",
    Reason.UNREACHABLE: "The recipient's mail hosts could not be reached. Their operators may not "
    "know yet.",
    Reason.ANSWERED: "The answer above is the recipient's mail host's; its operators know why.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notice is about; `action` is "failed" or "delayed", `until` only for delayed."""

    action: str
    job: Job
    outcomes: Sequence[Outcome]
    now: float
    until: float | None = None


def write_notice(notice: Notice, original: bytes, hostname: str, queue_id: str) -> Message:
    """The notice as a message to the sender of the job, who is not the null path.

    `original` is the message concerned; only its header goes back.
    """
    sender = notice.job.envelope.sender or ""
    parts = [
        ("text/plain; charset=utf-8", _text(notice, hostname)),
        ("message/delivery-status", _status(notice, hostname)),
        ("text/rfc822-headers", _header_of(original)),
    ]
    boundary = f"=_{queue_id}"
    head = _header(notice, sender, hostname, queue_id, boundary)
    body = head.encode("utf-8") + b"".join(
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + content
        for kind, content in parts
    )
    body += f"\r\n--{boundary}--\r\n".encode()
    # RFC 5321 §6.1: the reverse-path of a notice is null
    envelope = Envelope(None, (sender,), smtputf8=not head.isascii(), eight_bit=not body.isascii())
    return Message(queue_id, envelope, body, notice.now)


def _header(notice: Notice, sender: str, hostname: str, queue_id: str, boundary: str) -> str:
    subject = "Mail delivery failed" if notice.action == "failed" else "Mail delivery delayed"
    return _lines(
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{sender}>",
        f"Subject: {subject}",
        f"Date: {_date(notice.now)}",
        f"Message-ID: <{queue_id}@{hostname.strip('[]')}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    )


def _text(notice: Notice, hostname: str) -> bytes:
    lines = [f"This is the mail relay {hostname}.", ""]
    if notice.action == "failed":
        lines += _wrapped("Your message could not be delivered. This is final:")
    else:
        lines += _wrapped(
            f"Your message has not been delivered yet. You need not send it again: the relay goes "
            f"on trying until {_date(notice.until or notice.now)}."
        )
    for outcome in notice.outcomes:
        lines += ["", f"<{outcome.recipient}>", *_wrapped(str(_shown(outcome)), "    ")]
    for reason in dict.fromkeys(one.reason for one in notice.outcomes if one.reason):
        lines += ["", *_wrapped(_ADVICE[reason])]
    tried = notice.job.attempts + 1
    lines += ["", *_wrapped(f"Attempts made: {tried}, since {_date(notice.job.created)}.")]
    return _lines(*lines).encode("utf-8", "replace")


def _shown(outcome: Outcome) -> str:
    who = f"{outcome.host} said: " if outcome.remote and outcome.host else ""
    return who + str(outcome.reply) if outcome.remote else outcome.reply.text


def _status(notice: Notice, hostname: str) -> bytes:
    groups = [
        [f"Reporting-MTA: dns; {hostname}", f"Arrival-Date: {_date(notice.job.created)}"],
        *(_recipient_fields(notice, outcome) for outcome in notice.outcomes),
    ]
    text = "\r\n".join(_lines(*group) for group in groups)
    return text.encode("ascii", "replace")


# RFC 3464 §2.3: a remote reply is quoted only where there was one
def _recipient_fields(notice: Notice, outcome: Outcome) -> list[str]:
    fields = [
        f"Final-Recipient: {_typed(outcome.recipient)}",
        f"Action: {notice.action}",
        f"Status: {_class_of(notice.action)}{outcome.reply.status[1:]}",
    ]
    if outcome.remote and outcome.host:
        fields.append(f"Remote-MTA: dns; {outcome.host}")
        fields.append(f"Diagnostic-Code: smtp; {_ascii(str(outcome.reply))[:900]}")
    fields.append(f"Last-Attempt-Date: {_date(notice.now)}")
    if notice.until is not None:
        fields.append(f"Will-Retry-Until: {_date(notice.until)}")
    return fields


# RFC 3464 §2.3.4: the status agrees with the action
def _class_of(action: str) -> str:
    return "5" if action == "failed" else "4"


# RFC 6533 §3: an address in UTF-8, written in ASCII
def _typed(address: str) -> str:
    if address.isascii():
        return f"rfc822; {address}"
    encoded = "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in address)
    return f"utf-8; {encoded}"


def _header_of(original: bytes) -> bytes:
    end = original.find(b"\r\n\r\n")
    header = original if end < 0 else original[: end + 2]
    if len(header) > _HEADER_LIMIT:
        header = header[: header.rfind(b"\r\n", 0, _HEADER_LIMIT) + 2]
    return header


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=True
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


def _date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _lines(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)
