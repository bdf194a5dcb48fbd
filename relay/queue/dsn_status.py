"""What became of a message for programs: the fields of a delivery status (RFC 3464). Pure."""

import re
from collections.abc import Iterator

from relay.address import as_ascii
from relay.outcome import Outcome, Status
from relay.queue.mime import as_token
from relay.queue.notice import Notice
from relay.timestamp import rfc5322

_REPLY_LIMIT = 900  # characters, so that a line stays below 998 (RFC 5322 §2.1.1)
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})", re.ASCII)
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}", re.ASCII)
_CLASS = {"failed": "5", "delayed": "4", "relayed": "2"}


# RFC 3464 §2.1: groups of fields with a blank line between; the first is about the message
def status_lines(notice: Notice, hostname: str, *, utf8: bool) -> Iterator[str]:
    """The lines; `utf8`: addresses may be written in UTF-8 (RFC 6533 §3), else they are ASCII."""
    if notice.job.envelope.envid:
        yield f"Original-Envelope-Id: {as_token(_decoded(notice.job.envelope.envid))}"
    yield f"Reporting-MTA: dns; {hostname}"
    yield f"Arrival-Date: {rfc5322(notice.job.created)}"
    fates = notice.fates
    for action, told in zip(_CLASS, (fates.failed, fates.delayed, fates.relayed), strict=True):
        for outcome in told:
            yield ""
            yield from _addresses(outcome.recipient, notice, utf8=utf8)
            yield from _fields(outcome, action, notice)


def _addresses(recipient: str, notice: Notice, *, utf8: bool) -> Iterator[str]:
    orcpt = notice.job.envelope.asked(recipient).orcpt
    if orcpt:
        yield f"Original-Recipient: {_original(orcpt, utf8=utf8)}"
    kind = "rfc822" if recipient.isascii() else "utf-8"
    yield f"Final-Recipient: {kind}; {recipient if utf8 else as_ascii(recipient)}"


def _fields(outcome: Outcome, action: str, notice: Notice) -> Iterator[str]:
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
    if cause == ".0.0" and action == "failed" and outcome.status is Status.DEFERRED:
        return "5.4.7"  # RFC 3463 §3.5: delivery time expired
    return _CLASS[action] + cause


# RFC 3464 §2.3.1: as the sender gave it, without its xtext; RFC 6533 §3: in UTF-8 or in ASCII
def _original(orcpt: str, *, utf8: bool) -> str:
    kind, _, address = orcpt.partition(";")
    if kind.lower() != "utf-8":
        return f"{as_token(kind)}; {as_token(_decoded(address))}"
    plain = _EMBEDDED.sub(_character, address) if utf8 else as_ascii(address)
    return "utf-8; " + "".join(char if char.isprintable() else " " for char in plain)


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


# RFC 3461 §4: xtext
def _decoded(text: str) -> str:
    return _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), text)
