"""The commands as `serve` answers them (RFC 5321 §4.1); the hooks judge what they carry."""

import re

from relay.errors import StorageError
from relay.inbound.command import CommandError, parse_mail, parse_rcpt
from relay.inbound.login import Verdict
from relay.inbound.reception import Reception
from relay.inbound.sasl import MECHANISMS, SaslError, exchange
from relay.inbound.session import AUTH_LIMIT, ClientSession
from relay.inbound.upload import Upload

_EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
_VERDICTS = {
    Verdict.WELCOME: "235 2.7.0 Welcome",
    Verdict.WRONG: "535 5.7.8 Name or password is wrong",
    Verdict.LATER: "454 4.7.0 Too many log-ins failed or wait, try again later",
}
_CLIENT_NAME = re.compile(r"[^\x00-\x20\x7f]{1,255}")


class RelaySMTP(ClientSession):
    """One client's session; every reply has a status code (RFC 2034)."""

    commands: tuple[str, ...] = (
        *("DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY"),
    )

    def __init__(self, reception: Reception, *, tls_first: bool) -> None:
        """See Connection."""
        super().__init__(reception, tls_first=tls_first)
        self._hooks = reception.hooks
        self._login = reception.login
        self._max_message_size = reception.settings.max_message_size
        self.commands += ("STARTTLS",) if reception.tls else ()
        self.commands += ("AUTH",) if self._login else ()

    async def smtp_HELO(self, arg: str) -> None:  # noqa: N802 - the library's names
        """Greet a client that knows no extensions."""
        if await self._greeted(arg, extended=False):
            await self.push(f"250 {self.hostname}")

    # RFC 5321 §4.1.1.1: all that is offered and nothing else
    async def smtp_EHLO(self, arg: str) -> None:  # noqa: N802
        """Greet a client and tell it the extensions."""
        if await self._greeted(arg, extended=True):
            lines = [self.hostname, f"SIZE {self._max_message_size}", *_EXTENSIONS]
            lines += ["STARTTLS"] if self.reception.tls and not self.over_tls else []
            lines += [f"AUTH {' '.join(MECHANISMS)}"] if self._may_log_in else []
            await self.push("".join(f"250-{line}\r\n" for line in lines) + "250 HELP")

    # RFC 4954 §4: no password in clear, and none asked for twice
    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        """Let the client prove who it is."""
        if refusal := self._refusal_of_auth():
            return await self.push(refusal)
        try:
            credentials = await exchange(arg, self._ask)
        except SaslError as error:
            return await self.push(str(error))
        session, _ = self.state()
        assert self._login is not None  # noqa: S101 - the command is offered
        with self.keeping():
            verdict = await self._login.check(str(session.peer[0]), credentials)  # type: ignore[index]
        if verdict is Verdict.WELCOME:
            session.authenticated = True
            session.auth_data = credentials.name  # type: ignore[assignment]
        await self.push(_VERDICTS[verdict])

    # RFC 3207 §4: what the client pipelined behind it is not answered
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        """Speak TLS, then begin anew."""
        if arg:
            return await self.push("501 5.5.4 STARTTLS takes no argument")
        if self.over_tls:
            return await self.push("503 5.5.1 TLS is spoken already")
        await self.push("220 2.0.0 Speak TLS now")
        await self.flush()
        await self.start_tls()

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        """Begin a transaction."""
        session, transaction = self.state()
        if not session.host_name:
            return await self.push("503 5.5.1 Send EHLO first")
        if transaction.mail_from is not None:
            return await self.push("503 5.5.1 A transaction is under way, RSET ends it")
        try:
            mail = parse_mail(arg or "", extended=session.extended_smtp, auth=self._may_log_in)
        except CommandError as refusal:
            return await self.push(str(refusal))
        transaction.smtp_utf8 = mail.has("SMTPUTF8")
        await self.push(
            await self._hooks.handle_MAIL(self, session, transaction, mail.address, mail.options)
        )

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        """Add a recipient."""
        session, transaction = self.state()
        if transaction.mail_from is None:
            return await self.push("503 5.5.1 Send MAIL first")
        try:
            utf8 = bool(transaction.smtp_utf8)
            rcpt = parse_rcpt(arg or "", extended=session.extended_smtp, utf8=utf8)
        except CommandError as refusal:
            return await self.push(str(refusal))
        await self.push(
            await self._hooks.handle_RCPT(self, session, transaction, rcpt.address, rcpt.options)
        )

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take the content, in as few steps as it arrives, and have it judged and kept."""
        if arg:
            return await self.push("501 5.5.4 DATA takes no argument")
        if not self.state()[1].rcpt_tos:
            return await self.push("503 5.5.1 Send RCPT first: there is no recipient yet")
        await self.push("354 End the message with <CRLF>.<CRLF>")
        settings = self.reception.settings
        limit, normalise = settings.max_message_size, settings.normalise
        try:
            with Upload(settings.spool, limit, normalise=normalise) as upload:
                await self.read_content(upload)
                await self.push(await self._keep(upload))
        finally:
            self.forget()

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802
        """Forget the transaction."""
        if arg:
            return await self.push("501 5.5.4 RSET takes no argument")
        self.forget()
        await self.push("250 2.0.0 Forgotten")

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        """Do nothing."""
        await self.push("250 2.0.0 Done")

    # RFC 5321 §7.3: a relay knows no mailboxes and would not tell
    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802
        """Neither confirm nor deny."""
        await self.push(
            "252 2.0.0 Not known before delivery is tried" if arg else "501 5.5.4 Verify what?"
        )

    async def smtp_HELP(self, arg: str) -> None:  # noqa: N802
        """Name the commands."""
        await self.push(f"214 2.0.0 Commands: {' '.join(self.commands)}")

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        """Part."""
        if arg:
            return await self.push("501 5.5.4 QUIT takes no argument")
        await self.push("221 2.0.0 Goodbye")
        self.end()

    @property
    def _may_log_in(self) -> bool:
        return self._login is not None and self.over_tls

    def _refusal_of_auth(self) -> str | None:
        session, transaction = self.state()
        if not self._may_log_in:
            return "538 5.7.11 Log in over TLS only: send STARTTLS first"
        if not session.extended_smtp:
            return "503 5.5.1 Send EHLO first"
        if session.authenticated:
            return "503 5.5.1 You are logged in already"
        if transaction.mail_from is not None:
            return "503 5.5.1 A transaction is under way, RSET ends it"
        return None

    async def _ask(self, challenge: str) -> bytes:
        await self.push(f"334 {challenge}")
        line = await self.read_command()
        self.patience.hear(self.loop.time())
        if not line.endswith(b"\r\n") or len(line) > AUTH_LIMIT:
            raise SaslError(f"500 5.5.6 An answer is one line of at most {AUTH_LIMIT} octets")
        return line[:-2]

    async def _greeted(self, name: str, *, extended: bool) -> bool:
        if not _CLIENT_NAME.fullmatch(name):
            await self.push("501 5.5.4 Say your name: one word")
            return False
        self.forget()
        session, _ = self.state()
        session.extended_smtp = extended
        session.host_name = name
        return True

    async def _keep(self, upload: Upload) -> str:
        session, transaction = self.state()
        if refusal := self._hooks.refusal_of(session, upload.content):
            return refusal
        with self.keeping():
            try:
                body = await upload.complete()
            except StorageError as error:
                return self._hooks.put_off(error)
            return await self._hooks.keep(session, transaction, body)
