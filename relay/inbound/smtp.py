"""The commands as `serve` answers them (RFC 5321 §4.1); the hooks judge what they carry."""

import re
from functools import partial

from relay.errors import StorageError
from relay.inbound.command import CommandError, parse_mail, parse_rcpt
from relay.inbound.login import Verdict
from relay.inbound.reception import Reception
from relay.inbound.sasl import MECHANISMS, SaslError, exchange
from relay.inbound.session import AUTH_LIMIT, ClientSession, Work
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
        self._hostname = reception.settings.hostname
        self._max_message_size = reception.settings.max_message_size
        self.commands += ("STARTTLS",) if reception.tls else ()
        self.commands += ("AUTH",) if self._login else ()

    def smtp_HELO(self, arg: str) -> str:  # noqa: N802 - as it is said
        """Greet a client that knows no extensions."""
        return self._greet(arg, extended=False) or f"250 {self._hostname}"

    # RFC 5321 §4.1.1.1: all that is offered and nothing else
    def smtp_EHLO(self, arg: str) -> str:  # noqa: N802
        """Greet a client and tell it the extensions."""
        if refusal := self._greet(arg, extended=True):
            return refusal
        lines = [self._hostname, f"SIZE {self._max_message_size}", *_EXTENSIONS]
        lines += ["STARTTLS"] if self.reception.tls and not self.over_tls else []
        lines += [f"AUTH {' '.join(MECHANISMS)}"] if self._may_log_in else []
        return "".join(f"250-{line}\r\n" for line in lines) + "250 HELP"

    # RFC 4954 §4: no password in clear, and none asked for twice
    def smtp_AUTH(self, arg: str) -> str | Work:  # noqa: N802
        """Let the client prove who it is."""
        return self._refusal_of_auth() or partial(self._log_in, arg)

    # RFC 3207 §4: what the client pipelined behind it is not answered
    def smtp_STARTTLS(self, arg: str) -> str | Work:  # noqa: N802
        """Speak TLS, then begin anew."""
        if arg:
            return "501 5.5.4 STARTTLS takes no argument"
        if self.over_tls:
            return "503 5.5.1 TLS is spoken already"
        self.reply("220 2.0.0 Speak TLS now")
        return self._begin_anew

    def smtp_MAIL(self, arg: str) -> str:  # noqa: N802
        """Begin a transaction."""
        session, transaction = self.session, self.transaction
        if not session.host_name:
            return "503 5.5.1 Send EHLO first"
        if transaction.mail_from is not None:
            return "503 5.5.1 A transaction is under way, RSET ends it"
        try:
            mail = parse_mail(arg, extended=session.extended_smtp, auth=self._may_log_in)
        except CommandError as refusal:
            return str(refusal)
        transaction.smtp_utf8 = mail.has("SMTPUTF8")
        return self._hooks.take_sender(transaction, mail.address, mail.options)

    def smtp_RCPT(self, arg: str) -> str:  # noqa: N802
        """Add a recipient."""
        session, transaction = self.session, self.transaction
        if transaction.mail_from is None:
            return "503 5.5.1 Send MAIL first"
        try:
            utf8 = bool(transaction.smtp_utf8)
            rcpt = parse_rcpt(arg, extended=session.extended_smtp, utf8=utf8)
        except CommandError as refusal:
            return str(refusal)
        return self._hooks.take_recipient(session, transaction, rcpt.address, rcpt.options)

    def smtp_DATA(self, arg: str) -> str | Work:  # noqa: N802
        """Take the content, in as few steps as it arrives, and have it judged and kept."""
        if arg:
            return "501 5.5.4 DATA takes no argument"
        if not self.transaction.rcpt_tos:
            return "503 5.5.1 Send RCPT first: there is no recipient yet"
        self.reply("354 End the message with <CRLF>.<CRLF>")
        return self._take_message

    def smtp_RSET(self, arg: str) -> str:  # noqa: N802
        """Forget the transaction."""
        if arg:
            return "501 5.5.4 RSET takes no argument"
        self.forget()
        return "250 2.0.0 Forgotten"

    def smtp_NOOP(self, arg: str) -> str:  # noqa: N802
        """Do nothing."""
        return "250 2.0.0 Done"

    # RFC 5321 §7.3: a relay knows no mailboxes and would not tell
    def smtp_VRFY(self, arg: str) -> str:  # noqa: N802
        """Neither confirm nor deny."""
        return "252 2.0.0 Not known before delivery is tried" if arg else "501 5.5.4 Verify what?"

    def smtp_HELP(self, arg: str) -> str:  # noqa: N802
        """Name the commands."""
        return f"214 2.0.0 Commands: {' '.join(self.commands)}"

    def smtp_QUIT(self, arg: str) -> str:  # noqa: N802
        """Part."""
        if arg:
            return "501 5.5.4 QUIT takes no argument"
        self.over = True
        return "221 2.0.0 Goodbye"

    @property
    def _may_log_in(self) -> bool:
        return self._login is not None and self.over_tls

    def _greet(self, name: str, *, extended: bool) -> str | None:
        if not _CLIENT_NAME.fullmatch(name):
            return "501 5.5.4 Say your name: one word"
        self.forget()
        self.session.extended_smtp = extended
        self.session.host_name = name
        return None

    async def _begin_anew(self) -> str:
        await self.start_tls()
        return ""

    def _refusal_of_auth(self) -> str | None:
        if not self._may_log_in:
            return "538 5.7.11 Log in over TLS only: send STARTTLS first"
        if not self.session.extended_smtp:
            return "503 5.5.1 Send EHLO first"
        if self.session.authenticated:
            return "503 5.5.1 You are logged in already"
        if self.transaction.mail_from is not None:
            return "503 5.5.1 A transaction is under way, RSET ends it"
        return None

    async def _log_in(self, arg: str) -> str:
        try:
            credentials = await exchange(arg, self._challenge)
        except SaslError as error:
            return str(error)
        session = self.session
        assert self._login is not None  # noqa: S101 - the command is offered
        with self.keeping():
            verdict = await self._login.check(str(session.peer[0]), credentials)  # type: ignore[index]
        if verdict is Verdict.WELCOME:
            session.authenticated = True
            session.auth_data = credentials.name  # type: ignore[assignment]
        return _VERDICTS[verdict]

    async def _challenge(self, challenge: str) -> bytes:
        line = await self.ask(f"334 {challenge}")
        if not line.endswith(b"\r\n") or len(line) > AUTH_LIMIT:
            raise SaslError(f"500 5.5.6 An answer is one line of at most {AUTH_LIMIT} octets")
        return line[:-2]

    async def _take_message(self) -> str:
        settings = self.reception.settings
        limit, normalise = settings.max_message_size, settings.normalise
        try:
            with Upload(settings.spool, limit, normalise=normalise) as upload:
                await self.read_content(upload)
                return await self._keep(upload)
        finally:
            self.forget()

    async def _keep(self, upload: Upload) -> str:
        if refusal := self._hooks.refusal_of(self.session, upload.content):
            return refusal
        with self.keeping():
            try:
                body = await upload.complete()
            except StorageError as error:
                return self._hooks.put_off(error)
            return await self._hooks.keep(self.session, self.transaction, body)
