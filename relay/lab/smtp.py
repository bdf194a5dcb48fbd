"""The SMTP server of the lab's MX hosts (RFC 5321): aiosmtpd's, with a fault possible at each step.

What shall go wrong is the MxHost's to say.
"""

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from relay.lab.mx_host import MxHost, Received

_PATH = re.compile(r'\s*<((?:"(?:[^"\\]|\\.)*"|[^">])*)>(.*)')
_NULL_PATH = "<>"  # aiosmtpd takes an empty address for a missing one
# MAIL parameters with another name than their extension's
_NEEDS = {"BODY": "8BITMIME", "RET": "DSN", "ENVID": "DSN"}
_DSN = re.compile(r" (?:RET|ENVID|NOTIFY|ORCPT)=[^ ]*", re.IGNORECASE)
_AUTH = re.compile(r" AUTH=[^ ]*", re.IGNORECASE)

Command = Callable[[Any], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(host: MxHost, port: int) -> AsyncIterator[None]:
    """Serve an MX host at its address; cut all clients at the end. Raises OSError if taken."""
    alive: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(host, alive), host.address, port)
    try:
        yield
    finally:
        server.close()
        tasks = [connection.abort() for connection in alive]
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Connection(SMTP):
    """One client of an MX host; also its own handler in aiosmtpd's sense (handle_EHLO and so on).

    It stays in `alive` until the connection is lost.
    """

    line_length_limit = 2**20  # a relay may pass on lines longer than RFC 5321 asks a host to take

    def __init__(self, host: MxHost, alive: "set[Connection]") -> None:
        self._host = host
        self._alive = alive
        self._verb = ""
        self._instead: str | None = None
        self.command_size_limits = defaultdict(lambda: 4096)  # aiosmtpd's is shared by all servers
        self._offered = {extension.partition(" ")[0] for extension in host.extensions}
        self._offered |= {"AUTH"} if host.accounts else set()
        super().__init__(
            self,
            hostname=host.name,
            data_size_limit=_size_limit(host.extensions),
            enable_SMTPUTF8="SMTPUTF8" in self._offered,
            tls_context=host.context() if host.starttls else None,
            auth_required=bool(host.accounts),
            auth_exclude_mechanism={"PLAIN", "LOGIN"}.difference(host.mechanisms),
            authenticator=self._judge,
            loop=asyncio.get_running_loop(),
        )
        self._smtp_methods = {
            verb: partial(self._step, verb, command) for verb, command in self._smtp_methods.items()
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called for the connection, and by aiosmtpd once more for TLS in it."""
        super().connection_made(transport)
        if self not in self._alive:
            self._wire = cast(asyncio.Transport, transport)
            self._task = cast("asyncio.Task[None]", self._handler_coroutine)
            self._task.add_done_callback(self._finished)
            self._alive.add(self)
            self._host.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        """Called once, by the event loop or by aiosmtpd after a failed handshake."""
        if self in self._alive:
            self._alive.discard(self)
            self._host.endings.append(self._verb)
            super().connection_lost(error)

    def abort(self) -> "asyncio.Task[None]":
        """Cut the connection; the task that ends with it."""
        self._wire.abort()
        self._task.cancel()
        return self._task

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self._wire.abort()

    async def _handle_client(self) -> None:
        await self._host.disturb(("CONNECT",))
        self._instead = self._host.greeting
        await super()._handle_client()

    async def _step(self, verb: str, command: Command, arg: str | None) -> None:
        self._verb = verb
        self._host.commands.append(f"{verb} {arg}" if arg else verb)
        steps = (*self._details(verb, arg), verb)
        await self._host.disturb(steps)
        reply = self._host.reply_at(steps) or self._refusal(verb)
        self._instead = reply
        if reply is None or reply[0] in "23":
            await command(arg)
        else:
            await self.push(reply)

    def _details(self, verb: str, arg: str | None) -> list[str]:
        if verb == "EHLO":
            return ["EHLO:TLS"] if self._tls_protocol else []
        path = _PATH.match((arg or "").partition(":")[2])
        return [f"{verb}:{path[1]}"] if path else []

    # RFC 5321 §3.1: after a 554 greeting everything but QUIT is out of order
    def _refusal(self, verb: str) -> str | None:
        greeting = self._host.greeting
        if greeting is None or greeting.startswith("2") or verb == "QUIT":
            return None
        return "503 5.5.1 bad sequence of commands"

    async def push(self, status: str | bytes) -> None:
        """Send a reply, or the one set in the place of a good one."""
        text = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if self._instead and text[0] in "23":
            text, self._instead = self._instead, None
        upgrading = self._verb == "STARTTLS" and text.startswith("220")
        behind = b"\r\n" + self._host.injected if upgrading and self._host.injected else b""
        await super().push(text.encode("utf-8", "replace") + behind.removesuffix(b"\r\n"))
        if upgrading:
            await self._host.disturb(("TLS",))
        if text.startswith("421") and self.transport:
            self.transport.close()

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """MAIL, strict about parameters of extensions that are not offered."""
        path = _PATH.match((arg or "").partition(":")[2])
        parameters = path[2].upper().split() if path else []
        for name in (parameter.partition("=")[0] for parameter in parameters):
            # RFC 5321 §4.1.1.11
            if _NEEDS.get(name, name) not in self._offered:
                await self.push(f"555 5.5.4 unknown parameter {name}")
                return
        await super().smtp_MAIL(self._without_dsn(_AUTH.sub("", arg or "")))

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """RCPT, with the parameters of RFC 3461 where that is offered."""
        await super().smtp_RCPT(self._without_dsn(arg))

    # aiosmtpd knows none of them; `commands` of the host has them as they came
    def _without_dsn(self, arg: str | None) -> str | None:
        return _DSN.sub("", arg) if arg and "DSN" in self._offered else arg

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, _: list[str]
    ) -> list[str]:
        """The reply to EHLO, as one text."""
        session.host_name = hostname
        tls = ["STARTTLS"] if self.tls_context and not self._tls_protocol else []
        auth = [" ".join(("AUTH", *self._host.mechanisms))] if self._takes_logins() else []
        *lines, last = [self._host.name, *self._host.extensions, *tls, *auth]
        return ["\r\n".join([*(f"250-{line}" for line in lines), f"250 {last}"])]

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """The reply to the final dot; a good one puts the message on record."""
        await self._host.disturb((".",))
        reply = self._host.reply_at((".",)) or "250 2.0.0 taken"
        if reply.startswith("2"):
            self._host.messages.append(self._received(envelope))
        return reply

    def _takes_logins(self) -> bool:
        return bool(self._host.accounts and self._tls_protocol)

    def _judge(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _: str, told: LoginPassword
    ) -> AuthResult:
        name, password = told.login.decode(), told.password.decode()
        self._host.logins.append((name, password))
        return AuthResult(
            success=self._host.accounts.get(name) == password, auth_data=name, handled=False
        )

    def _received(self, envelope: Envelope) -> Received:
        tls = self.transport and self.transport.get_extra_info("ssl_object")
        return Received(
            mail_from=(envelope.mail_from or "").replace(_NULL_PATH, ""),
            mail_options=tuple(envelope.mail_options),
            rcpt_tos=tuple(envelope.rcpt_tos),
            rcpt_options=tuple(envelope.rcpt_options),
            content=envelope.original_content or b"",
            tls=tls is not None,
            tls_version=tls.version() if tls else None,
            sni=self._host.sni_of(tls) if tls else None,
            resumed=bool(tls and tls.session_reused),
            peer=self._wire.get_extra_info("peername")[:2],
        )

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The path as it stands between the brackets: aiosmtpd would parse it like a header."""
        path = _PATH.fullmatch(arg)
        return (path[1] or _NULL_PATH, path[2].strip()) if path else (None, None)

    async def handle_exception(self, error: Exception) -> str:
        """What clients get for an error in here, a failed handshake included."""
        return f"451 4.3.0 {type(error).__name__}"


def _size_limit(extensions: tuple[str, ...]) -> int | None:
    sizes = (extension.removeprefix("SIZE ") for extension in extensions)
    return next((int(size) for size in sizes if size.isdecimal()), None)
