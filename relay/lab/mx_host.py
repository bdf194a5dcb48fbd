"""The lab's MX host (RFC 5321, RFC 3207): what it shall do, as the test says, and what it saw.

How it does it is in smtp.py; this file knows no command of the protocol.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

from relay.immutable import immutable
from relay.lab.ca import Certificate
from relay.lab.tally import Tally

EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

Answer = str | list[str]
"""A reply, several lines parted by CRLF; or a list of replies used up one by one."""


@immutable
class Received:
    """A message the host has answered 2xx to.

    `mail_from` is "" for the null reverse-path; addresses are as they stood between the angle
    brackets, options in upper case. `content` is exact, dots unstuffed. `sni` and `tls_version`
    ("TLSv1.3") are None without TLS, `sni` also where the client named nobody; `resumed` tells a
    resumed TLS session.
    """

    mail_from: str
    mail_options: tuple[str, ...]
    rcpt_tos: tuple[str, ...]
    rcpt_options: tuple[str, ...]
    content: bytes
    tls: bool
    tls_version: str | None
    sni: str | None
    resumed: bool
    peer: tuple[str, int]


class Behaviour(TypedDict, total=False):
    """The settable fields of MxHost, as keyword arguments."""

    starttls: bool
    starttls_reply: str | None
    injected: bytes
    maximum_tls: ssl.TLSVersion | None
    greeting: str | None
    extensions: tuple[str, ...]
    replies: dict[str, Answer]
    drop_at: str | None
    stall_at: str | None
    accounts: dict[str, str]
    mechanisms: tuple[str, ...]


@dataclass(eq=False)
class MxHost:
    """One host with its behaviour, which may be changed at any time, and its records.

    A step is "CONNECT", "EHLO", "STARTTLS", "TLS" (the 220 is out, no handshake yet), "MAIL",
    "RCPT", "DATA" (the command), "." (the message is in), "RSET", "QUIT" or any other command.
    One RCPT or MAIL is "RCPT:user@name.test", EHLO over TLS is "EHLO:TLS"; the closer name wins.

    `replies` answers a step; what is not 2xx or 3xx keeps the step from happening, 421 also ends
    the connection. `drop_at` is the step at which the connection is cut without an answer;
    `stall_at` the one that waits until the test sets `resume`, and tells so by `stalled`.
    `accounts`, passwords by user name, makes the host demand a login before MAIL; it offers AUTH by
    `mechanisms`, within TLS alone. `injected` is sent in clear right behind the 220 of STARTTLS.
    `maximum_tls` None means any.

    `commands` has every known command line, the verb in upper case; `connections` counts those
    ever made; `logins` has the user name and password of every try; `endings` has the last command
    of each connection that has ended ("QUIT" is a polite end).
    """

    name: str
    address: str
    certificate: Certificate
    starttls: bool = True
    starttls_reply: str | None = None
    injected: bytes = b""
    maximum_tls: ssl.TLSVersion | None = None
    greeting: str | None = None
    extensions: tuple[str, ...] = EXTENSIONS
    replies: dict[str, Answer] = field(default_factory=dict)
    drop_at: str | None = None
    stall_at: str | None = None
    accounts: dict[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    resume: asyncio.Event = field(default_factory=asyncio.Event)

    messages: Tally[Received] = field(default_factory=Tally)
    commands: list[str] = field(default_factory=list)
    snis: list[str | None] = field(default_factory=list)
    connections: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    endings: Tally[str] = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._contexts: dict[tuple[Certificate, ssl.TLSVersion | None], ssl.SSLContext] = {}
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    async def received(self, count: int, timeout: float = 5.0) -> list[Received]:  # noqa: ASYNC109
        """Wait until `count` messages have arrived; all of them. Raises TimeoutError."""
        return await self.messages.reach(count, timeout)

    def reply_at(self, steps: Sequence[str]) -> str | None:
        """The reply set for the first of these steps that has one; None where none has."""
        for step in steps:
            if step == "STARTTLS" and self.starttls_reply:
                return self.starttls_reply
            match self.replies.get(step):
                case str(reply):
                    return reply
                case [str(reply), *rest]:
                    self.replies[step] = rest
                    return reply
        return None

    async def disturb(self, steps: Sequence[str]) -> None:
        """Stall or drop at one of these steps. Raises ConnectionResetError to have it cut."""
        if self.stall_at in steps:
            self.stalled.set()
            await self.resume.wait()
        if self.drop_at in steps:
            raise ConnectionResetError(f"{self.name} drops the connection at {self.drop_at}")

    def context(self) -> ssl.SSLContext:
        """The TLS context of the present certificate, which records server names."""
        key = (self.certificate, self.maximum_tls)
        if key not in self._contexts:
            self._contexts[key] = context = self.certificate.server_context(self.maximum_tls)
            context.sni_callback = self._note_sni
        return self._contexts[key]

    def sni_of(self, tls: ssl.SSLObject) -> str | None:
        """The server name a connection asked for; None where it named nobody."""
        return self._names.get(tls)

    def _note_sni(self, tls: ssl.SSLObject | ssl.SSLSocket, sni: str | None, _: object) -> None:
        self.snis.append(sni)
        if sni is not None:
            self._names[tls] = sni
