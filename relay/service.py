"""`relay serve` in one process: a relay with its listeners, from signal to signal."""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from relay import config
from relay.app import Relay
from relay.clock import SystemClock
from relay.config import Settings
from relay.errors import ConfigError, RelayError, StorageDamagedError
from relay.inbound.server import Listeners
from relay.reporting.journal import Journal
from relay.storage import ALONE, Worker
from relay.wiring import build_listeners, build_reception, listen_settings

log = logging.getLogger(__name__)

Read = Callable[[], tuple[Settings, list[str]]]
"""Reads the configuration again: the settings, and the keys changed that need a restart."""


async def serve(
    settings: Settings,
    journal: Journal,
    announce: Callable[[str], None],
    worker: Worker = ALONE,
    read: Read | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. `announce` is told each listener once mail is accepted.

    SIGHUP opens logs and certificate anew and takes on what `read` gives. Where a database turns
    out to be damaged the relay begins anew in place, once for each. Raises RelayError where the
    storage or an address cannot be had.
    """
    service = _Service(settings, announce, worker, read)
    damaged: list[Path | None] = [None]
    while not service.stop.is_set():
        try:
            await service.run(Relay(service.settings, journal, worker, damaged[-1]))
        except StorageDamagedError as error:
            if error.path in damaged:
                raise
            damaged.append(error.path)


def endpoint(host: str, port: int) -> str:
    """Address and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def renewed(current: Settings, read: Read) -> Settings | None:
    """The settings to go on with; None, and the log says why, where the new ones are wrong."""
    try:
        new, waiting = read()
    except ConfigError as error:
        why = "; ".join(error.problems)
        log.error("the old configuration stays: %s", why)  # noqa: TRY400 - the text says it all
        return None
    for key in waiting:
        log.warning("%s: the new value needs a restart, the old one stays", key)
    was = current.server
    server = replace(new.server, listen=was.listen, listen_tls=was.listen_tls)
    server = replace(server, workers=was.workers, loop=was.loop)
    return replace(new, server=server, storage=replace(new.storage, url=current.storage.url))


def _do_nothing() -> None:
    return


class _Service:
    """A process that serves: how it is told to end (a signal, or the loss of its supervisor) and to
    read its configuration again."""

    def __init__(
        self,
        settings: Settings,
        announce: Callable[[str], None],
        worker: Worker,
        read: Read | None,
    ) -> None:
        self.settings = settings
        self.stop = asyncio.Event()
        self._announce = announce
        self._worker = worker
        self._read = read
        self._orphaned = False
        self._reloading: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        if worker.lifeline is not None:
            loop.add_reader(worker.lifeline, self._orphan, worker.lifeline)

    async def run(self, relay: Relay) -> None:
        """Serve with this relay until told to stop, and close it."""
        listeners = build_listeners(self.settings, relay.hooks, self._worker)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hear_reload, relay, listeners)
        try:
            await relay.start()
            await listeners.start()
            for host, port in listeners.bound:
                self._announce(f"listening on {endpoint(host, port)}")
            await relay.watch(self.stop)
        finally:
            await self._end_reload()
            # without a supervisor a new relay may begin at any moment: make room at once
            timeout = 0.0 if self._orphaned else self.settings.server.stop_timeout
            begun = loop.time()
            relay.rest()
            await listeners.close(timeout)
            await relay.aclose(max(0.0, timeout - (loop.time() - begun)))

    # One after the other: the last signal's configuration is the one that stays
    def _hear_reload(self, relay: Relay, listeners: Listeners) -> None:
        before = self._reloading
        reload = self._reload(relay, listeners, before)
        self._reloading = asyncio.get_running_loop().create_task(reload)

    async def _reload(
        self, relay: Relay, listeners: Listeners, before: "asyncio.Task[None] | None"
    ) -> None:
        if before:
            await asyncio.wait([before])
        relay.reopen_logs()
        settings = self.settings
        if self._read:
            new = await asyncio.to_thread(renewed, settings, self._read)
            settings = new or settings
        try:
            if settings is not self.settings:
                await relay.renew(settings)
                self.settings = settings
                log.warning("the configuration has been read again and is in force")
                self._warn()
            reception = build_reception(settings, relay.hooks)
            listeners.renew(listen_settings(settings, self._worker), reception)
        except RelayError as error:
            # a file that has changed since the configuration was read
            log.error("not everything could be renewed: %s", error)  # noqa: TRY400

    # Of several workers one tells
    def _warn(self) -> None:
        if self._worker.number == 0:
            for warning in config.warnings(self.settings, SystemClock().now()):
                log.warning("%s", warning)

    async def _end_reload(self) -> None:
        # without any handler the signal would end the process at once
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _do_nothing)
        if self._reloading:
            await asyncio.wait([self._reloading])
            self._reloading = None

    def _orphan(self, lifeline: int) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)
        log.error("the supervisor is gone, so this worker ends")
        self._orphaned = True
        self.stop.set()
