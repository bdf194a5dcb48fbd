"""The relay as a handler for someone else's aiosmtpd (docs/plugin.md).

    aiosmtpd -n -l 127.0.0.1:2525 -c relay.plugin.RelayHandler config.toml

and `RelayHandler(settings)` in a Controller. Its safety is that of `relay serve`.
"""

import asyncio
import sys
from argparse import ArgumentParser
from typing import Any

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as ClientEnvelope

from relay import config
from relay.app import Relay
from relay.clock import SystemClock
from relay.config import Settings
from relay.errors import RelayError, StorageError
from relay.reporting.journal import Journal


class RelayHandler:
    """An aiosmtpd handler: judges, keeps and delivers as `relay serve` does."""

    def __init__(self, settings: Settings) -> None:
        """Lock the storage. Raises StorageLockedError, StorageError.

        The relay starts on the event loop of the first hook called, or of `start`.
        """
        journal = Journal(sys.stderr.buffer, SystemClock(), human=sys.stderr.isatty())
        self._relay = Relay(settings, journal)
        self._stop_timeout = settings.server.stop_timeout
        self._started: asyncio.Task[None] | None = None

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *args: str) -> "RelayHandler":
        """Made by aiosmtpd's command line; the one argument is the configuration file.

        aiosmtpd runs the loop that is current when it begins, so a fresh one is set here and the
        start put on it: mail left over from an earlier run goes out before the first client comes.
        """
        if len(args) != 1:
            parser.error("relay.plugin.RelayHandler takes one argument: the configuration file")
        try:
            handler = cls(config.load(args[0]))
        except RelayError as error:
            parser.error(str(error))
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        handler._started = loop.create_task(handler._relay.start())
        return handler

    async def start(self) -> None:
        """Start now rather than at the first hook. Raises StorageError."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_task(self._relay.start())
        await asyncio.shield(self._started)

    async def aclose(self) -> None:
        """Let attempts end within `server.stop_timeout`, then close; on the loop it runs on."""
        if self._started is not None:
            await asyncio.wait([self._started])
        await self._relay.aclose(self._stop_timeout)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: ClientEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        """See AcceptHooks."""
        if refusal := await self._not_started():
            return refusal
        return await self._relay.hooks.handle_MAIL(server, session, envelope, address, options)

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: ClientEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_DATA(server, session, envelope)

    async def handle_NOOP(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope, arg: str
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_NOOP(server, session, envelope, arg)

    async def handle_RSET(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_RSET(server, session, envelope)

    async def handle_VRFY(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope, address: str
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_VRFY(server, session, envelope, address)

    async def handle_QUIT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: ClientEnvelope
    ) -> str:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_QUIT(server, session, envelope)

    async def handle_exception(self, error: Exception) -> Any:
        """See AcceptHooks."""
        return await self._relay.hooks.handle_exception(error)

    async def _not_started(self) -> str | None:
        try:
            await self.start()
        except StorageError as error:
            self._started = None  # the next client may be luckier
            return await self._relay.hooks.handle_exception(error)
        return None
