"""How the relay calls MX hosts: as whom, from where, and how patiently. Makes no connection."""

from dataclasses import field

from relay.delivery.contexts import TlsContexts
from relay.delivery.credentials import Credentials
from relay.immutable import immutable
from relay.outbox import Outbox


# RFC 5321 §4.5.3.2: the least a client should wait, in seconds; the others are ours
@immutable
class Timeouts:
    """How long each step may take, in seconds."""

    connect: float = 30
    hurried: float = 2  # to connect, where the host has another address left (RFC 8305 §8)
    greeting: float = 300
    ehlo: float = 300
    starttls: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    envelope: float = 7200  # all of MAIL, RCPT and DATA
    block: float = 180
    final: float = 600
    quit: float = 5


@immutable
class Sources:
    """The addresses the relay calls from, by family; None: the system chooses."""

    ipv4: str | None = None
    ipv6: str | None = None

    def towards(self, address: str) -> str | None:
        """The one for a connection to this address."""
        return self.ipv6 if ":" in address else self.ipv4


@immutable
class Caller:
    """How the relay calls: its name for EHLO, the port, trust, patience, from where; and as whom.

    `identity` None: it does not log in.
    """

    hostname: str
    port: int
    contexts: TlsContexts
    timeouts: Timeouts
    identity: Credentials | None = None
    sources: Sources = Sources()
    outbox: Outbox = field(default_factory=Outbox)
