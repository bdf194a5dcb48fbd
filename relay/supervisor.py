"""Several worker processes for one relay: started, watched, started again and ended together.

A worker is `app.serve` in a process forked from this one, so that they share most of their memory.
Knows no mail.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from relay import event_loop
from relay.clock import SystemClock
from relay.config import Settings
from relay.errors import RelayError
from relay.inbound.server import reserve
from relay.reporting.journal import Journal
from relay.service import Read, endpoint, renewed, serve
from relay.storage import Worker, take_storage

log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds before a worker that has ended by itself is started again
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_READY = b"\0"  # what a worker says among the numbers of signals; no signal has this one


class WorkerError(RelayError):
    """A worker could not start; it has told why itself."""


def worker_count(settings: Settings) -> int:
    """How many processes are to work: as configured, or (0) one for each core there is."""
    return settings.server.workers or len(os.sched_getaffinity(0))


def supervise(
    settings: Settings, journal: Journal, announce: Callable[[str], None], read: Read | None = None
) -> None:
    """Run the workers until SIGTERM or SIGINT; `announce` is told each listener once all accept.

    Raises RelayError where the storage or an address cannot be had, or a worker cannot start. Only
    for the main thread of a process that has no other thread.
    """
    count = worker_count(settings)
    with contextlib.ExitStack() as end:
        end.callback(take_storage(settings.storage_directory, count, SystemClock().now()).release)
        listen = _reserved(end, "listen", settings.server.listen)
        listen_tls = _reserved(end, "listen_tls", settings.server.listen_tls)
        server = replace(settings.server, listen=listen, listen_tls=listen_tls, workers=count)
        told = replace(settings, server=server)
        crew = _Crew(told, journal, read)
        end.callback(crew.end)
        crew.start()
        if crew.is_complete:
            for host, port in told.server.listeners:
                announce(f"listening on {endpoint(host, port)}")
        crew.keep_up()


# The sockets stay open until the end
def _reserved(
    end: contextlib.ExitStack, key: str, addresses: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    sockets = [end.enter_context(sock) for sock in reserve(key, addresses)]
    return tuple((sock.getsockname()[0], sock.getsockname()[1]) for sock in sockets)


class _Crew:
    """The workers, by process id. All that is waited for, a signal or a worker's word that it takes
    mail, comes as an octet through one pair of sockets."""

    def __init__(self, settings: Settings, journal: Journal, read: Read | None) -> None:
        self._settings = settings
        self._journal = journal
        self._read = read
        self._count = settings.server.workers
        self._numbers: dict[int, int] = {}
        self._due: dict[int, float] = {}  # when to start a worker again, by its number
        self._ready = 0
        self._stopping = False
        self._heard, self._told = socket.socketpair()
        self._told.settimeout(0)
        self._lifeline, self._held = os.pipe()
        signal.set_wakeup_fd(self._told.fileno())
        for number in _SIGNALS:
            signal.signal(number, _noted)

    @property
    def is_complete(self) -> bool:
        """Whether every worker takes mail."""
        return self._ready >= self._count

    def start(self) -> None:
        """Start every worker, and wait until all take mail. Raises WorkerError."""
        for number in range(self._count):
            self._fork(number)
        while not self.is_complete and not self._stopping:
            if self._due:
                raise WorkerError("a worker process could not start")
            self._wait(None)

    def keep_up(self) -> None:
        """Start again what ends by itself, until told to stop."""
        while not self._stopping:
            now = time.monotonic()
            for number in [one for one, due in self._due.items() if due <= now]:
                del self._due[number]
                self._fork(number)
            self._wait(min(self._due.values()) - now if self._due else None)

    def end(self) -> None:
        """Stop every worker gracefully and wait for the last."""
        self._stop()
        while self._numbers:
            self._wait(None)
        signal.set_wakeup_fd(-1)
        for descriptor in (self._lifeline, self._held):
            os.close(descriptor)
        self._heard.close()
        self._told.close()

    def _wait(self, timeout: float | None) -> None:
        if not select.select([self._heard], [], [], timeout)[0]:
            return
        words = self._heard.recv(4096)
        self._ready += words.count(_READY)
        if signal.SIGCHLD in words:
            self._bury()
        if signal.SIGHUP in words:
            self._reload()
        if signal.SIGTERM in words or signal.SIGINT in words:
            self._stop()

    # The workers read for themselves; a worker started later needs what they have
    def _reload(self) -> None:
        if self._read:
            self._settings = renewed(self._settings, self._read) or self._settings
        self._pass_on(signal.SIGHUP)

    def _stop(self) -> None:
        self._stopping = True
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for pid in self._numbers:
            os.kill(pid, number)

    # The others go on meanwhile; what the dead one had in hand its successor finds in the spool
    def _bury(self) -> None:
        for pid in list(self._numbers):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone:
                continue
            number = self._numbers.pop(pid)
            if not self._stopping:
                code = os.waitstatus_to_exitcode(status)
                log.error("worker %d has ended (%d), it is started again", number, code)
                self._due[number] = time.monotonic() + _PAUSE

    # Signals wait until the child hears them with ears of its own
    def _fork(self, number: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._begin(number)
            self._numbers[pid] = number
        except OSError as error:  # no memory or no process to be had just now
            log.error("worker %d cannot be started yet: %s", number, error.strerror)  # noqa: TRY400
            self._due[number] = time.monotonic() + _PAUSE
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _begin(self, number: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_IGN if one is signal.SIGHUP else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._held)
            code = self._work(number)
        finally:
            os._exit(code)

    def _work(self, number: int) -> int:
        worker = Worker(number, self._count, self._lifeline)
        waited_for = len(self._settings.server.listeners)

        def announce(_: str) -> None:
            nonlocal waited_for
            waited_for -= 1
            if not waited_for:
                self._told.send(_READY)

        try:
            work = serve(self._settings, self._journal, announce, worker, self._read)
            event_loop.run(work, self._settings.server.loop)
        except RelayError as error:
            log.error("worker %d: %s", number, error)  # noqa: TRY400 - the text says it all
            return 3
        return 0


# Python's own handler would end the process; the octet on the wakeup descriptor is what is read
def _noted(number: int, frame: object) -> None:
    return
