"""The composition root: builds every part from the settings, starts it and stops it in order."""

import asyncio
import contextlib
import logging
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from relay import config
from relay.clock import Clock, SystemClock
from relay.config import Settings
from relay.db.adopt import adopt_spools, spool_name
from relay.db.damage import begin_anew, open_sound
from relay.db.ledger import Ledger
from relay.db.lock import StorageLock
from relay.db.policies import PolicyTable
from relay.db.spool import Spool
from relay.delivery.caller import Sources
from relay.delivery.deliverer import Deliverer, DeliverySettings
from relay.delivery.own import OwnAddresses
from relay.delivery.tls import Floors
from relay.envelope import Envelope, Message, new_queue_id
from relay.errors import RelayError, StorageDamagedError
from relay.events import events_of
from relay.evidence import Finding
from relay.inbound.certificate import CertificateFiles
from relay.inbound.hooks import AcceptHooks, AcceptSettings
from relay.inbound.login import Login
from relay.inbound.message import Origin
from relay.inbound.reception import Reception, SessionSettings
from relay.inbound.server import Listeners, ListenSettings
from relay.inbound.users import UserFile
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.policy import SeenBy
from relay.mta_sts.refresh import Refresher
from relay.outcome import DeliveryResult
from relay.queue.job import Settlement
from relay.queue.retry import Schedule
from relay.queue.scheduler import Limits, Scheduler
from relay.queue.settle import Rules
from relay.reporting.copier import Copier, entries_of
from relay.reporting.journal import Journal
from relay.reporting.log_file import LogFile
from relay.resolver import DnsResolver

log = logging.getLogger(__name__)

POLICIES = "policies.db"
LEDGER = "ledger.db"


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of several processes on one storage this is; `ALONE` is a relay of one process.

    Several have a supervisor, which holds the storage lock for them and the writing end of the pipe
    that `lifeline` is the reading end of: its end of file means that the supervisor is gone.
    """

    number: int = 0
    count: int = 1
    lifeline: int | None = None


ALONE = Worker()


@dataclass(frozen=True)
class _Stores:
    """The storage directory, locked and open; `lock` None: a supervisor holds it."""

    lock: StorageLock | None
    spool: Spool
    policies: PolicyTable
    ledger: Ledger

    def close(self) -> None:
        for store in (self.spool, self.policies, self.ledger):
            store.close()
        if self.lock:
            self.lock.release()


def take_storage(directory: Path, workers: int, now: float) -> StorageLock:
    """Lock the storage, and bring what more workers than now had left to the first of these.

    Raises StorageLockedError, StorageError.
    """
    lock = StorageLock(directory)
    try:
        for name in _adopt(directory, workers, now):
            log.warning("the mail of a former worker (%s) has been taken over", name)
    except BaseException:
        lock.release()
        raise
    return lock


def _adopt(directory: Path, workers: int, now: float) -> list[str]:
    try:
        return adopt_spools(directory, workers)
    except StorageDamagedError as error:
        begin_anew(error.path, now)
        return adopt_spools(directory, workers)


# A database that is damaged, or known to be, is begun anew
def _open_stores(settings: Settings, worker: Worker, damaged: Path | None, now: float) -> _Stores:
    directory = settings.storage_directory
    with contextlib.ExitStack() as undo:
        lock = take_storage(directory, 1, now) if worker.lifeline is None else None
        if lock:
            undo.callback(lock.release)
        if damaged:
            begin_anew(damaged, now)
        spool = open_sound(
            partial(Spool, reserve=settings.storage.reserve),
            directory / spool_name(worker.number),
            now,
        )
        undo.callback(spool.close)
        policies = open_sound(PolicyTable, directory / POLICIES, now)
        undo.callback(policies.close)
        stores = _Stores(lock, spool, policies, open_sound(Ledger, directory / LEDGER, now))
        undo.pop_all()
        return stores


class Relay:
    """The whole relay but for its listeners, which the plug-in does not have."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        worker: Worker = ALONE,
        damaged: Path | None = None,
    ) -> None:
        """Lock and open the storage. Raises StorageLockedError, StorageError; ConfigError where a
        route's credentials have become unreadable since the configuration was.

        `damaged` is a database to begin anew: an earlier relay of this process ended for it.
        """
        self._journal = journal
        self._clock: Clock = SystemClock()
        delivery = _delivery_settings(settings)
        self._stores = _open_stores(settings, worker, damaged, self._clock.now())
        self._use(settings, delivery)
        self._deliveries: Counter[Deliverer] = Counter()  # under way
        self._scheduler = Scheduler(
            self._stores.spool,
            self._deliver,
            self._rules(),
            self._clock,
            self._settled,
            Limits(per_domain=config.domain_bounds(settings)),
        )
        log_file = LogFile(settings.violation_log)
        self._copier = Copier(self._stores.spool, self._stores.ledger, log_file)
        self._tasks: list[asyncio.Task[None]] = []
        self.hooks = AcceptHooks(self._accept, _accept_settings(settings), self._clock)

    async def start(self) -> None:
        """Take up what an earlier run left, and begin to deliver. Raises StorageError."""
        await self._stores.spool.release_all()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._scheduler.run()),  # the first: nothing goes on without it
            loop.create_task(self._copier.run()),
            loop.create_task(self._refresher.run()),  # the last: it is renewed
        ]
        for task in self._tasks:
            task.add_done_callback(_tell_end)
        self._copier.wake()

    async def watch(self, stop: asyncio.Event) -> None:
        """Wait until told to stop. Raises RelayError where the relay cannot go on.

        That is without its queue or its storage; the log has what else a part of it dies of.
        """
        stopping = asyncio.ensure_future(stop.wait())
        pending = {stopping, *self._tasks}
        try:
            while stopping in pending:
                ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in ended - {stopping}:
                    self._judge(task)
        finally:
            stopping.cancel()

    def _judge(self, ended: "asyncio.Task[Any]") -> None:
        if ended.cancelled():
            return
        error = ended.exception()
        if isinstance(error, RelayError):
            raise error
        if ended is self._tasks[0]:
            raise RelayError("the queue has failed: the log tells why")

    def reopen_logs(self) -> None:
        """Open the violation log anew (SIGHUP)."""
        self._copier.reopen(self._settings.violation_log)

    async def renew(self, settings: Settings) -> None:
        """Go on with other settings; deliveries under way end with the old ones.

        Raises ConfigError where credentials cannot be read, and then nothing has changed.
        """
        before = self._deliverer
        self._use(settings, _delivery_settings(settings))
        self._stores.spool.reserve = settings.storage.reserve
        self._scheduler.renew(self._rules(), config.domain_bounds(settings))
        self.hooks.renew(_accept_settings(settings))
        self.reopen_logs()
        self._tasks[-1].cancel()
        self._tasks[-1] = asyncio.get_running_loop().create_task(self._refresher.run())
        self._tasks[-1].add_done_callback(_tell_end)
        if not self._deliveries[before]:
            await before.aclose()

    def _use(self, settings: Settings, delivery: DeliverySettings) -> None:
        self._settings = settings
        resolver = build_resolver(settings, self._clock)
        finder = build_finder(settings, resolver, self._stores.policies, self._clock)
        dice = random.Random()  # noqa: S311 - spreads load, guards nothing
        self._deliverer = Deliverer(delivery, resolver, finder.find, self._clock, dice)
        self._refresher = Refresher(finder, self._stores.policies, self._clock, self._note_findings)

    # A deliverer of former settings closes its connections after its last delivery
    async def _deliver(
        self, domain: str, envelope: Envelope, body: bytes, since: float
    ) -> DeliveryResult:
        deliverer = self._deliverer
        self._deliveries[deliverer] += 1
        try:
            return await deliverer.deliver(domain, envelope, body, since)
        finally:
            self._deliveries[deliverer] -= 1
            if not self._deliveries[deliverer]:
                del self._deliveries[deliverer]
                if deliverer is not self._deliverer:
                    await deliverer.aclose()

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Let attempts end for `timeout` seconds, then cut them; they stay queued."""
        await self._scheduler.aclose(timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._deliverer.aclose()
        await self._copier.aclose()
        await asyncio.to_thread(self._stores.close)

    async def _accept(self, message: Message, origin: Origin) -> None:
        await self._scheduler.accept(message)
        self._journal.write(
            "accepted",
            queue_id=message.id,
            client=origin.address,
            user=origin.user,
            client_tls=origin.tls,
            sender=message.envelope.sender or "",
            to=message.envelope.recipients,
            size=len(message.content),
        )

    async def _note_findings(self, findings: Sequence[Finding]) -> None:
        await self._stores.spool.add_findings(findings)
        self._copier.wake()

    def _rules(self) -> Rules:
        queue = self._settings.queue
        return Rules(
            Schedule(queue.retry, queue.lifetime, queue.warn_after),
            self._settings.hostname,
            random.Random().random,  # noqa: S311 - spreads retries, guards nothing
            lambda: new_queue_id(self._clock.now(), secrets.randbelow),
            queue.postmaster,
        )

    def _settled(self, settlement: Settlement, result: DeliveryResult) -> None:
        if settlement.findings:
            self._copier.wake()
        for event, fields in events_of(settlement, result, self._clock.now()):
            self._journal.write(event, **fields)


def _tell_end(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        known = isinstance(error, RelayError)
        log.critical("a part of the relay has ended: %s", error, exc_info=None if known else error)


def build_listeners(settings: Settings, hooks: AcceptHooks, worker: Worker = ALONE) -> Listeners:
    """The listeners of the configuration. Raises CertificateError."""
    reception = build_reception(settings, hooks)
    return Listeners(listen_settings(settings, worker), reception, SystemClock())


def build_reception(settings: Settings, hooks: AcceptHooks) -> Reception:
    """What sessions work with, as configured."""
    server = settings.server
    session = SessionSettings(
        hostname=settings.hostname,
        max_message_size=server.max_message_size,
        timeout=server.timeout,
        message_timeout=server.message_timeout,
        normalise=server.bare_newlines == "normalise",
        spool=settings.storage_directory,
    )
    login = Login(UserFile(settings.users)) if settings.users else None
    return Reception(hooks, session, login=login)


def build_resolver(settings: Settings, clock: Clock) -> DnsResolver:
    """The resolver of the configuration."""
    return DnsResolver(settings.dns.nameservers, settings.dns.timeout, clock)


def build_finder(
    settings: Settings,
    resolver: DnsResolver,
    policies: PolicyTable,
    clock: Clock,
    seen_by: SeenBy = "delivery",
) -> PolicyFinder:
    """The policy finder of the configuration; `seen_by` says in whose name it looks."""
    fetcher = PolicyFetcher(
        resolver,
        FetchSettings(
            settings.mta_sts.fetch_timeout,
            settings.mta_sts.https_port,
            settings.delivery.allow_internal,
            settings.ca_file,
            settings.mta_sts.proxy,
        ),
    )
    return PolicyFinder(resolver, policies, fetcher.fetch, clock, seen_by)


async def record_now(settings: Settings, ledger: Ledger, findings: Sequence[Finding]) -> None:
    """Record what a command has found; a running relay's outbox is not this process's."""
    entries = entries_of([(secrets.token_hex(16), finding) for finding in findings])
    await ledger.append(entries)
    log_file = LogFile(settings.violation_log)
    with contextlib.closing(log_file):
        for entry in entries:
            log_file.write(entry.line)


def _delivery_settings(settings: Settings) -> DeliverySettings:
    return DeliverySettings(
        hostname=settings.hostname,
        own=OwnAddresses(settings.hostname, settings.server.listeners),
        routes=config.next_hops(settings),
        port=settings.delivery.port,
        allow_internal=settings.delivery.allow_internal,
        idle_timeout=settings.delivery.idle_timeout,
        host_bound=config.host_bounds(settings),
        ca_file=settings.ca_file,
        sources=Sources(settings.delivery.source_ipv4, settings.delivery.source_ipv6),
        floors=Floors(settings.tls.testing, settings.tls.no_policy),
    )


def _accept_settings(settings: Settings) -> AcceptSettings:
    server = settings.server
    return AcceptSettings(
        hostname=settings.hostname,
        allow=server.allow,
        max_message_size=server.max_message_size,
        max_recipients=server.max_recipients,
        max_received=server.max_received,
        normalise=server.bare_newlines == "normalise",
    )


def listen_settings(settings: Settings, worker: Worker) -> ListenSettings:
    """What the listeners need to know of the configuration; `worker` has its share of clients."""
    server = settings.server
    certificate, key = settings.tls_cert, settings.tls_key
    return ListenSettings(
        addresses=server.listen,
        allow=server.allow,
        max_connections=max(1, server.max_connections // worker.count),
        max_connections_per_client=server.max_connections_per_client,
        tls_addresses=server.listen_tls,
        certificate=CertificateFiles(certificate, key or certificate) if certificate else None,
        reuse_port=worker.lifeline is not None,
    )
