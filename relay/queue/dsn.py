"""Telling a sender what became of the mail: multipart/report (RFC 3464, RFC 6522). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay.envelope import Envelope, Message
from relay.evidence import Finding
from relay.outcome import Outcome, Status
from relay.queue.dsn_text import explain
from relay.queue.job import Job
from relay.queue.mime import as_seven_bit, as_token, lines_of
from relay.timestamp import rfc5322

_HEADER_LIMIT = 32_768  # octets of the original's header that go back
_REPLY_LIMIT = 900  # characters, so that a line stays below 998 (RFC 5322 §2.1.1)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a sender is told: who failed for good, and who is only late. All of one attempt.

    An outcome in `failed` that says deferred has run out of time. `findings` are those of the
    attempt. `now` and `ends`, the end of the lifetime, are in seconds since 1970.
    """

    job: Job
    failed: Sequence[Outcome]
    delayed: Sequence[Outcome]
    findings: Sequence[Finding]
    now: float
    ends: float


def write_notice(notice: Notice, original: bytes, hostname: str, queue_id: str) -> Message:
    """The notice as a message to the sender of the job, who must not be the null path.

    `original` is the message concerned; only its header goes back. `queue_id` becomes the notice's
    own.
    """
    sender = notice.job.envelope.sender or ""
    boundary = f"=_{queue_id}"  # nobody can have written it into what is quoted: it is new
    text = lines_of(explain(notice.job, notice.failed, notice.delayed, notice.findings, hostname))
    parts = [
        as_seven_bit("text/plain; charset=utf-8", text.encode("utf-8", "replace")),
        _status_part(notice, hostname),
        as_seven_bit("text/rfc822-headers", _header_of(original)),
    ]
    head = lines_of(_header(notice, hostname, queue_id, boundary)).encode()
    opening = f"\r\n--{boundary}\r\n".encode()
    body = head + b"".join(opening + part for part in parts) + f"\r\n--{boundary}--\r\n".encode()
    # RFC 5321 §6.1: the reverse-path of a notice is null
    envelope = Envelope(
        None,
        (sender,),
        smtputf8=not sender.isascii(),
        eight_bit=not body.isascii(),
        requiretls=notice.job.envelope.requiretls,
    )
    return Message(queue_id, envelope, body, notice.now)


def _header(notice: Notice, hostname: str, queue_id: str, boundary: str) -> list[str]:
    return [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{notice.job.envelope.sender}>",
        f"Subject: Mail delivery {'failed' if notice.failed else 'delayed'}",
        f"Date: {rfc5322(notice.now)}",
        f"Message-ID: <{queue_id}@{hostname.strip('[]')}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    ]


# RFC 3464 §2.1: groups of fields with a blank line between; the first is about the message
def _status_part(notice: Notice, hostname: str) -> bytes:
    groups = [
        [f"Reporting-MTA: dns; {hostname}", f"Arrival-Date: {rfc5322(notice.job.created)}"],
        *(list(_fields(outcome, "failed", notice)) for outcome in notice.failed),
        *(list(_fields(outcome, "delayed", notice)) for outcome in notice.delayed),
    ]
    text = "\r\n".join(lines_of(group) for group in groups)
    return b"Content-Type: message/delivery-status\r\n\r\n" + text.encode("ascii", "replace")


def _fields(outcome: Outcome, action: str, notice: Notice) -> Iterator[str]:
    yield f"Final-Recipient: {_typed(outcome.recipient)}"
    yield f"Action: {action}"
    yield f"Status: {_status(outcome, action)}"
    # RFC 3464 §2.3.6: quoted only where a remote host has spoken; what we decided has no such code
    if outcome.remote and outcome.host:
        yield f"Remote-MTA: dns; {as_token(outcome.host)}"
        yield f"Diagnostic-Code: smtp; {as_token(str(outcome.reply))[:_REPLY_LIMIT]}"
    yield f"Last-Attempt-Date: {rfc5322(notice.now)}"
    if action == "delayed":
        yield f"Will-Retry-Until: {rfc5322(notice.ends)}"


# RFC 3464 §2.3.4: the class agrees with the action. The real cause says more than "too old"
def _status(outcome: Outcome, action: str) -> str:
    cause = outcome.reply.status[1:]
    if action == "delayed":
        return f"4{cause}"
    if cause == ".0.0" and outcome.status is Status.DEFERRED:
        return "5.4.7"  # RFC 3463 §3.5: delivery time expired
    return f"5{cause}"


# RFC 6533 §3: an address in UTF-8, written in ASCII
def _typed(address: str) -> str:
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + "".join(
        char if char.isascii() and char not in "\\+= " else f"\\x{{{ord(char):X}}}"
        for char in address
    )


def _header_of(original: bytes) -> bytes:
    end = original.find(b"\r\n\r\n")
    header = original if end < 0 else original[: end + 2]
    if len(header) > _HEADER_LIMIT:
        header = header[: header.rfind(b"\r\n", 0, _HEADER_LIMIT) + 2]
    return header
