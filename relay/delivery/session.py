"""One SMTP connection to one address of an MX host (RFC 5321 §3, RFC 3207).

The only file that imports aiosmtplib; its exceptions, those of `ssl` and OSError end here. Knows
nothing of policies and of other hosts.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import aiosmtplib

from relay.delivery.attempt import Hop, HopReport
from relay.delivery.classify import flaw_of_handshake, flaw_of_starttls
from relay.delivery.tls import Level
from relay.envelope import Envelope
from relay.reply import Reply, Severity, parse_reply

_SLOWEST = 16_384  # octets a second: a large message gets more time before its last reply
_START_MAIL_INPUT = 354
_TOO_MANY = 552


# RFC 5321 §4.5.3.2: the least a client should wait, in seconds
@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step may take, in seconds."""

    connect: float = 30
    greeting: float = 300
    ehlo: float = 300
    starttls: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    final: float = 600
    quit: float = 5


class TlsContexts:
    """The two client contexts, made once and shared: making one takes tens of milliseconds."""

    def __init__(self, ca_file: Path | None) -> None:
        """Trust the roots in `ca_file`, or the system's where it is None."""
        self._ca_file = ca_file

    @cached_property
    def verified(self) -> ssl.SSLContext:
        """Certificates are checked: chain, dates, and the name by SAN alone."""
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # RFC 8461 §4.2: the common name never counts; Python's default is True
        context.hostname_checks_common_name = False
        return context

    @cached_property
    def encrypted(self) -> ssl.SSLContext:
        """Any certificate will do."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def at(self, level: Level) -> ssl.SSLContext:
        """The context for a level above CLEAR."""
        return self.verified if level is Level.VERIFIED else self.encrypted


class HopError(Exception):
    """The connection did not come about; `report` says how far it came.

    `session` is a connection in the clear that is left open for use where the host just has no TLS.
    """

    def __init__(self, report: HopReport, session: "Session | None" = None) -> None:
        """Keep the report."""
        super().__init__(report)
        self.report = report
        self.session = session


async def open_session(
    hop: Hop, port: int, hostname: str, contexts: TlsContexts, timeouts: Timeouts
) -> "Session":
    """Connect, greet and reach the hop's level. Raises HopError; no other exception escapes."""
    sock = await _connect(hop.address, port, timeouts.connect)
    client = aiosmtplib.SMTP(sock=sock, local_hostname=hostname, start_tls=False, timeout=None)
    session = Session(client, hop, hostname, timeouts)
    try:
        await client.connect(timeout=timeouts.greeting)
        await session.raise_to_level(contexts)
    except BaseException as error:
        if not (isinstance(error, HopError) and error.session):
            client.close()
            sock.close()
        if isinstance(error, (aiosmtplib.SMTPException, OSError)):
            raise HopError(_report_of(error)) from None
        raise
    return session


class Session:
    """An open connection after EHLO, at its level; used for one transaction at a time."""

    def __init__(
        self, client: aiosmtplib.SMTP, hop: Hop, hostname: str, timeouts: Timeouts
    ) -> None:
        """Wrap a client; `open_session` brings it to its level."""
        self._client = client
        self._host = hop.host
        self._level = hop.level
        self._hostname = hostname.encode("ascii")
        self._timeouts = timeouts
        self._open_transaction = False
        self.tls = "clear"

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return self._client.is_connected

    async def raise_to_level(self, contexts: TlsContexts) -> None:
        """Say EHLO, start TLS where the level asks for it, say EHLO again. Raises HopError."""
        await self._ehlo()
        if self._level is Level.CLEAR:
            return
        if not self._client.supports_extension("starttls"):
            flaw = flaw_of_starttls(self._host, None)
            raise HopError(HopReport(flaw=flaw), session=self)
        await self._start_tls(contexts)
        # RFC 3207 §4.2: what was heard before TLS counts for nothing
        await self._ehlo()

    async def _start_tls(self, contexts: TlsContexts) -> None:
        try:
            # RFC 8461 §7.1: SNI is the MX host's name; the certificate is checked against it
            await self._client.starttls(
                tls_context=contexts.at(self._level),
                server_hostname=self._host,
                timeout=self._timeouts.starttls,
            )
        except aiosmtplib.SMTPResponseException as error:
            reply = parse_reply(error.code, error.message)
            raise HopError(HopReport(flaw=flaw_of_starttls(self._host, reply))) from None
        except (ssl.SSLError, ssl.CertificateError, aiosmtplib.SMTPException) as error:
            raise HopError(HopReport(flaw=flaw_of_handshake(self._host, error))) from None
        version = self._client.get_transport_info("ssl_object").version()
        self.tls = f"verified {version}" if self._level is Level.VERIFIED else str(version)

    # RFC 5321 §3.2: HELO only for a host that does not know EHLO, and only where TLS is not asked
    async def _ehlo(self) -> None:
        reply = await self._command(b"EHLO", self._hostname, timeout=self._timeouts.ehlo)
        if reply.severity is Severity.PERMANENT and self._level is Level.CLEAR:
            reply = await self._command(b"HELO", self._hostname, timeout=self._timeouts.ehlo)
        elif reply.severity is Severity.PERMANENT:
            # RFC 3207: without EHLO there is no STARTTLS
            raise HopError(HopReport(flaw=flaw_of_starttls(self._host, reply)))
        if reply.severity is not Severity.SUCCESS:
            raise HopError(HopReport(refusal=reply))

    async def send(
        self, envelope: Envelope, recipients: Sequence[str], wire: bytes, size: int
    ) -> HopReport:
        """One transaction. `wire` is the dot-stuffed content with its final dot, `size` its octets
        before that. Never raises for what the host does; the session may be closed afterwards."""
        if lack := self._lack(envelope, size):
            return HopReport(refusal=lack, remote=False, tls=self.tls)
        transaction = _Transaction(self, envelope, size)
        try:
            if self._open_transaction:
                await self._command(b"RSET", timeout=self._timeouts.mail)
            self._open_transaction = True
            await transaction.run(recipients, wire)
        except (aiosmtplib.SMTPException, OSError) as error:
            self.close()
            transaction.lost = _words(error)
        return HopReport(
            replies=transaction.replies,
            lost=transaction.lost,
            in_doubt=bool(transaction.lost and transaction.sent),
            tls=self.tls,
        )

    # RFC 5321 §4.1.1.3: only what was offered, and that after TLS
    def _lack(self, envelope: Envelope, size: int) -> Reply | None:
        offers = self._client.supports_extension
        if envelope.eight_bit and not offers("8bitmime"):
            return Reply(554, "5.6.3", f"{self._host} does not take 8-bit content (8BITMIME)")
        if envelope.smtputf8 and not offers("smtputf8"):
            return Reply(554, "5.6.7", f"{self._host} does not take UTF-8 addresses (SMTPUTF8)")
        limit = self._client.esmtp_extensions.get("size", "").strip(" ")
        # RFC 1870 §4: 0 or nothing is no limit
        if limit.isascii() and limit.isdigit() and 0 < int(limit[:20]) < size:
            return Reply(552, "5.3.4", f"{size} octets are more than {self._host} takes ({limit})")
        return None

    def parameters(self, envelope: Envelope, size: int) -> list[bytes]:
        """The parameters of MAIL that content and addresses need and the host offers."""
        wanted = []
        if self._client.supports_extension("size"):
            wanted.append(f"SIZE={size}".encode())
        if envelope.eight_bit:
            wanted.append(b"BODY=8BITMIME")
        if envelope.smtputf8:
            wanted.append(b"SMTPUTF8")
        return wanted

    async def ask(self, *words: bytes) -> Reply:
        """MAIL or RCPT with its words exactly as given."""
        return await self._command(*words, timeout=self._timeouts.mail)

    async def give_data(self, wire: bytes) -> None:
        """Write the content after a 354; its reply comes by `data_reply`."""
        assert self._client.protocol is not None  # noqa: S101 - a session that is open has one
        self._client.protocol.write(wire)

    async def data_reply(self, size: int) -> Reply:
        """The reply to the final dot."""
        if self._client.protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        timeout = self._timeouts.final + size / _SLOWEST
        response = await self._client.protocol.read_response(timeout=timeout)
        return parse_reply(response.code, response.message)

    async def start_data(self) -> Reply:
        """The reply to DATA; only a 354 is leave to send."""
        return await self._command(b"DATA", timeout=self._timeouts.data)

    def end_transaction(self) -> None:
        """The host took the message: nothing to reset."""
        self._open_transaction = False

    async def quit(self) -> None:
        """Say QUIT and close, whatever the host answers."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self._command(b"QUIT", timeout=self._timeouts.quit)
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._client.close()

    async def _command(self, *words: bytes, timeout: float) -> Reply:  # noqa: ASYNC109 - a step's own
        response = await self._client.execute_command(*words, timeout=timeout)
        if words[0] == b"EHLO" and response.code // 100 == Severity.SUCCESS.value:
            self._client.last_ehlo_response = response
        return parse_reply(response.code, response.message)


class _Transaction:
    """MAIL, RCPT for each recipient, DATA, content: what was answered so far."""

    def __init__(self, session: Session, envelope: Envelope, size: int) -> None:
        self._session = session
        self._envelope = envelope
        self._size = size
        self.replies: dict[str, Reply] = {}
        self.sent = False
        self.lost = ""

    async def run(self, recipients: Sequence[str], wire: bytes) -> None:
        encoding = "utf-8" if self._envelope.smtputf8 else "ascii"
        sender = f"FROM:<{self._envelope.sender or ''}>".encode(encoding)
        parameters = self._session.parameters(self._envelope, self._size)
        reply = await self._session.ask(b"MAIL", sender, *parameters)
        if reply.severity is not Severity.SUCCESS:
            self._answer_all(recipients, reply)
            return
        accepted = await self._ask_recipients(recipients, encoding)
        if accepted:
            self._answer_all(accepted, await self._content(wire))

    async def _ask_recipients(self, recipients: Sequence[str], encoding: str) -> list[str]:
        accepted = []
        for recipient in recipients:
            reply = await self._session.ask(b"RCPT", f"TO:<{recipient}>".encode(encoding))
            if reply.severity is Severity.SUCCESS:
                accepted.append(recipient)
            else:
                self.replies[recipient] = _as_too_many(reply) if accepted else reply
        return accepted

    async def _content(self, wire: bytes) -> Reply:
        reply = await self._session.start_data()
        # RFC 5321 §3.3: no data unless 354
        if reply.code != _START_MAIL_INPUT:
            if reply.severity is Severity.SUCCESS:
                return Reply(451, "4.5.0", f"a strange answer to DATA: {reply}")
            return reply
        self.sent = True
        await self._session.give_data(wire)
        reply = await self._session.data_reply(self._size)
        if reply.severity is Severity.SUCCESS:
            self._session.end_transaction()
        return reply

    def _answer_all(self, recipients: Sequence[str], reply: Reply) -> None:
        self.replies.update(dict.fromkeys(recipients, reply))


# RFC 5321 §4.5.2: dot-stuffing; the content ends with CRLF before the final dot
def to_wire(body: bytes) -> bytes:
    """The content as it follows a 354, its end included."""
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    return (b"." if stuffed.startswith(b".") else b"") + stuffed + b".\r\n"


# RFC 5321 §4.5.3.1.10: 552 to a later RCPT means too many recipients, as 452
def _as_too_many(reply: Reply) -> Reply:
    return Reply(452, "4.5.3", reply.text) if reply.code == _TOO_MANY else reply


async def _connect(address: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise HopError(HopReport(connected=False, lost=_words(error))) from None
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise HopError(HopReport(connected=False, lost=_words(error))) from None
        raise
    return sock


# RFC 5321 §3.8: a lost connection is as a 451; a greeting other than 220 is about the host
def _report_of(error: aiosmtplib.SMTPException | OSError) -> HopReport:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return HopReport(refusal=parse_reply(error.code, error.message))
    return HopReport(lost=_words(error))


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in text[:200])
