"""The dialogue with one address of an MX host (RFC 5321 §3, RFC 3207 §4).

A session connects when first used, comes up to its level, and then takes one transaction after the
other. Knows nothing of policies and of other hosts.
"""

from collections.abc import Sequence
from functools import partial

from relay.delivery.auth import log_in
from relay.delivery.caller import Caller
from relay.delivery.classify import flaw_of_starttls
from relay.delivery.credentials import Credentials
from relay.delivery.hop import Declined, Exchange, HopReport, Unprotected, Unreachable
from relay.delivery.offer import Offer, parse_offer
from relay.delivery.tickets import Resumption
from relay.delivery.tls import Level
from relay.delivery.transaction import Content, Transaction
from relay.delivery.wire import Disconnected, InDoubt, Wire, connect
from relay.envelope import Envelope
from relay.evidence import Failure
from relay.reply import Reply, Severity

_SERVICE_CLOSING = 421
_UNKNOWN_COMMAND = (500, 501, 502, 504)


class Session:
    """One connection to one address; used by one delivery at a time."""

    def __init__(
        self,
        host: str,
        address: str,
        level: Level,
        caller: Caller,
        resumption: Resumption | None = None,
    ) -> None:
        """Nothing is done yet; `host` is the MX record's name, for SNI and the certificate.
        `resumption` None: every handshake is a full one."""
        self._host = host
        self._address = address
        self._wanted = level
        self._caller = caller
        self._resumption = resumption
        self._wire: Wire | None = None
        self._offer = Offer(host)
        self._ready = False
        self._unfinished = False
        self._used = False
        self.level = Level.CLEAR
        self._tls_version = ""

    @property
    def is_ready(self) -> bool:
        """Whether another transaction may follow, as far as this side knows."""
        return self._ready and self._wire is not None and self._wire.is_open

    @property
    def tls(self) -> str:
        """The protection for the log."""
        if self.level is Level.CLEAR:
            return "clear"
        verified = self.level is Level.VERIFIED
        return f"verified {self._tls_version}" if verified else self._tls_version

    async def deliver(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        content: Content,
        *,
        hurried: bool = False,
    ) -> HopReport:
        """Offer a message; the connection is opened first where there is none. Never raises for
        what the host does; `is_ready` tells whether the session is of use afterwards. `hurried`: a
        connection is not waited for long."""
        replies: dict[str, Reply] = {}
        try:
            setback = await self._come_up(envelope, content.size, hurried=hurried)
            if setback is None:
                await self._transact(envelope, recipients, content, replies)
        except Disconnected as error:
            self._ready = False
            in_doubt = isinstance(error, InDoubt)
            return Exchange(replies, str(error), in_doubt, self.tls, self._offer.has("DSN"))
        return setback or Exchange(replies, tls=self.tls, dsn=self._offer.has("DSN"))

    async def probe(self, envelope: Envelope, *, hurried: bool = False) -> HopReport:
        """What `deliver` would come to for a small message before its first mail command, of which
        none is given; an exchange without any reply: nothing stands against it."""
        try:
            setback = await self._come_up(envelope, 0, hurried=hurried)
        except Disconnected as error:
            return Exchange(lost=str(error), tls=self.tls)
        return setback or Exchange(tls=self.tls)

    async def aclose(self) -> None:
        """Say QUIT and close."""
        self._ready = False
        if self._wire:
            await self._wire.close(self._caller.timeouts.quit)

    def abort(self) -> None:
        """Close at once: the dialogue has lost its place."""
        self._ready = False
        if self._wire:
            self._wire.abort()

    async def _come_up(self, envelope: Envelope, size: int, *, hurried: bool) -> HopReport | None:
        setback = None if self._ready else await self._open(hurried=hurried)
        return setback or self._obstacle(envelope, size)

    # A host that a ticket puts off is called anew without one, before anything is said against it
    async def _open(self, *, hurried: bool) -> HopReport | None:
        try:
            setback = await self._call(hurried=hurried)
        except Disconnected:
            self._refuse_ticket()
            raise
        if _is_unsettled(setback) and self._refuse_ticket():
            self.level = Level.CLEAR
            setback = await self._call(hurried=hurried)
        return setback

    def _refuse_ticket(self) -> bool:
        return self._resumption is not None and self._resumption.refuse()

    async def _call(self, *, hurried: bool) -> HopReport | None:
        caller = self._caller
        patience = caller.timeouts.hurried if hurried else caller.timeouts.connect
        source = caller.sources.towards(self._address)
        try:
            self._wire = await connect(self._address, caller.port, patience, caller.outbox, source)
            greeting = await self._wire.reply(caller.timeouts.greeting)
        except Disconnected as error:
            return Unreachable(str(error))
        if greeting.severity is not Severity.SUCCESS:
            return Declined(greeting)
        setback = await self._hello()
        if setback is None and self._wanted is not Level.CLEAR:
            setback = await self._start_tls(self._wire)
        if setback is None and caller.identity:
            setback = await self._log_in(caller.identity)
        return setback

    async def _hello(self) -> HopReport | None:
        name = self._caller.hostname.encode("ascii")
        patience = self._caller.timeouts.ehlo
        reply, text = await self._line().ehlo(name, patience)
        self._offer = parse_offer(self._host, text)
        if reply.code in _UNKNOWN_COMMAND and self.level is Level.CLEAR:
            # RFC 3207 §4: without EHLO there is no STARTTLS
            if self._wanted is not Level.CLEAR:
                return Unprotected(flaw_of_starttls(self._host, reply))
            # RFC 5321 §3.2: HELO for a server that does not know EHLO; it offers nothing
            self._offer = Offer(self._host)
            reply = await self._ask(b"HELO", name, timeout=patience)
        self._ready = reply.severity is Severity.SUCCESS
        return None if self._ready else Declined(reply, tls=self.tls)

    async def _start_tls(self, wire: Wire) -> HopReport | None:
        # the session stays of use in clear text, where that will do
        if not self._offer.has("STARTTLS"):
            return Unprotected(flaw_of_starttls(self._host, None))
        self._ready = False
        context = self._caller.contexts.at(self._wanted)
        ticket = self._resumption.offer() if self._resumption else None
        # RFC 8461 §7.1: SNI is the MX host's name at every level
        patience = self._caller.timeouts.starttls
        if flaw := await wire.start_tls(context, self._host, patience, ticket):
            return Unprotected(flaw)
        self.level, self._tls_version = self._wanted, wire.tls_version
        # RFC 3207 §4.2: what was offered before TLS counts for nothing
        setback = await self._hello()
        if self._resumption and self._ready and wire.tls:
            self._resumption.keep(wire.tls)
        return setback

    async def _log_in(self, identity: Credentials) -> HopReport | None:
        self._ready = False
        if self.level is Level.VERIFIED:
            ask = partial(self._ask, timeout=self._caller.timeouts.mail)
            refusal = await log_in(ask, self._offer, identity)
        else:
            # never in the clear, and never to a host that nobody vouches for
            text = f"{self._host} has not proved who it is, so the relay does not log in there"
            refusal = Reply(454, "4.7.8", text)
        self._ready = refusal is None
        return Declined(refusal, remote=False, tls=self.tls, login=True) if refusal else None

    def _obstacle(self, envelope: Envelope, size: int) -> HopReport | None:
        reply = self._offer.obstacle(envelope, size)
        return Declined(reply, remote=False, tls=self.tls) if reply else None

    async def _transact(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        content: Content,
        replies: dict[str, Reply],
    ) -> None:
        if self._unfinished:
            await self._ask(b"RSET", timeout=self._caller.timeouts.mail)
        kept, self._used = self._used, True
        transaction = Transaction(self._line(), self._offer, self._caller, envelope, content)
        try:
            await transaction.run(recipients, replies, kept=kept)
        finally:
            self._unfinished = transaction.is_open
            self._ready = self._ready and not transaction.is_closing

    async def _ask(self, *words: bytes, timeout: float) -> Reply:  # noqa: ASYNC109 - each step's own
        reply = await self._line().ask(*words, timeout=timeout)
        if reply.code == _SERVICE_CLOSING:
            self._ready = False
        return reply

    def _line(self) -> Wire:
        if self._wire is None:
            raise Disconnected("not connected")
        return self._wire


# A handshake that ended without a word on the certificate
def _is_unsettled(setback: HopReport | None) -> bool:
    return isinstance(setback, Unprotected) and setback.flaw.failure is Failure.VALIDATION_FAILURE
