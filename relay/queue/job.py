"""The unit of work: one message for one recipient domain, and what an attempt makes of it. Pure."""

from dataclasses import replace
from typing import Any

from relay.address import parse_mailbox
from relay.envelope import Envelope, Message
from relay.evidence import Finding
from relay.immutable import immutable
from relay.timestamp import rfc3339


@immutable
class Last:
    """The end of the last attempt; `host` None where none was concerned."""

    time: float
    host: str | None
    reply: str


@immutable
class Job:
    """What is still to be done: `envelope` holds the recipients not yet settled.

    `attempts` counts those made; `warned`: the sender was told of the delay. Times since 1970;
    `size` of the content in octets.
    """

    id: str
    message_id: str
    created: float
    domain: str
    envelope: Envelope
    attempts: int = 0
    warned: bool = False
    size: int = 0


@immutable
class Claim:
    """A job taken on by this relay; `body` None: it is still to be read from the store.

    `since`: when it was taken on, by the loop's clock; the store does not know.
    """

    job: Job
    body: bytes | None = None
    since: float = 0.0


@immutable
class Remainder:
    """What is left of a job after an attempt, and when to go on with it."""

    recipients: tuple[str, ...]
    next_attempt: float
    reason: str
    last: Last
    warned: bool


@immutable
class Settlement:
    """The result of an attempt, kept in one transaction; `remainder` None: the job is done."""

    job: Job
    remainder: Remainder | None
    notices: tuple[Message, ...] = ()
    findings: tuple[Finding, ...] = ()


@immutable
class Attempted:
    """How one attempt ended that did not finish its job; `host` None: none was concerned."""

    time: float
    reason: str
    host: str | None
    reply: str

    def as_dict(self) -> dict[str, Any]:
        """The documented object."""
        return {
            "time": rfc3339(self.time),
            "reason": self.reason,
            "host": self.host,
            "reply": self.reply,
        }


@immutable
class QueueRecord:
    """A job as `relay queue` shows it; the fields are the outside contract."""

    id: str
    message_id: str
    created: float
    sender: str
    domain: str
    recipients: tuple[str, ...]
    size: int
    attempts: int
    next_attempt: float | None
    state: str
    reason: str | None
    last: Last | None

    def as_dict(self) -> dict[str, Any]:
        """The documented object."""
        last = self.last and {
            "time": rfc3339(self.last.time),
            "host": self.last.host,
            "reply": self.last.reply,
        }
        return {
            "id": self.id,
            "message_id": self.message_id,
            "created": rfc3339(self.created),
            "sender": self.sender,
            "domain": self.domain,
            "recipients": list(self.recipients),
            "size": self.size,
            "attempts": self.attempts,
            "next_attempt": None if self.next_attempt is None else rfc3339(self.next_attempt),
            "state": self.state,
            "reason": self.reason,
            "last": last,
        }


def split(message: Message) -> list[Job]:
    """One job for each recipient domain, in the order of the envelope. Raises AddressError.

    A recipient named twice gets one copy.
    """
    by_domain: dict[str, list[str]] = {}
    for recipient in dict.fromkeys(message.envelope.recipients):
        by_domain.setdefault(parse_mailbox(recipient).destination, []).append(recipient)
    return [
        Job(
            id=f"{message.id}.{number}",
            message_id=message.id,
            created=message.created,
            domain=domain,
            envelope=_envelope_to(tuple(recipients), message),
            size=len(message.content),
        )
        for number, (domain, recipients) in enumerate(by_domain.items(), 1)
    ]


# RFC 6531 §3.6: a host without SMTPUTF8 takes what is in ASCII, whoever else is written to
def _envelope_to(recipients: tuple[str, ...], message: Message) -> Envelope:
    envelope = message.envelope.to(recipients)
    smtputf8 = message.utf8_header or envelope.has_utf8_address
    return envelope if envelope.smtputf8 == smtputf8 else replace(envelope, smtputf8=smtputf8)
