"""The composition root: builds every part from the settings, starts it and stops it in order."""

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from relay import config
from relay.bookkeeping import Bookkeeping
from relay.clock import Clock, SystemClock
from relay.config import Settings
from relay.delivery.deliverer import Deliverer, DeliverySettings
from relay.envelope import Envelope, Message, new_queue_id
from relay.errors import RelayError
from relay.events import events_of
from relay.inbound.hooks import AcceptHooks
from relay.inbound.message import Origin
from relay.mta_sts.refresh import Refresher
from relay.outcome import DeliveryResult, Prospect
from relay.queue.job import Settlement
from relay.queue.line import Limits
from relay.queue.retry import Schedule
from relay.queue.scheduler import Scheduler
from relay.queue.settle import Rules
from relay.queue.watch import View, Watch
from relay.reporting.journal import Journal
from relay.storage import ALONE, Worker, open_stores
from relay.wiring import (
    accept_settings,
    build_finder,
    build_resolver,
    delivery_settings,
    remembering,
    watch_view,
)

log = logging.getLogger(__name__)


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
        delivery = delivery_settings(settings)
        self._stores = open_stores(settings, worker, damaged, self._clock.now())
        self._books = Bookkeeping(settings, self._stores, self._clock)
        self._use(settings, delivery)
        self._deliveries: Counter[Deliverer] = Counter()  # under way
        self._partings: set[asyncio.Task[None]] = set()  # of deliverers that serve no more
        self._scheduler = Scheduler(
            self._stores.spool,
            self._deliver,
            self._rules(),
            self._clock,
            self._settled,
            Limits(per_domain=config.domain_bounds(settings)),
        )
        dice = random.Random().random  # noqa: S311 - spreads looks, guards nothing
        spool = self._stores.spool
        self._watch = Watch(spool, self._view(), self._note_release, self._clock, dice)
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[RelayError]  # why the relay cannot go on
        self.hooks = AcceptHooks(self._accept, accept_settings(settings), self._clock)

    async def start(self) -> None:
        """Take up what an earlier run left, and begin to deliver. Raises StorageError."""
        await self._stores.spool.release_all()
        works = [
            self._scheduler.run(),  # the first: nothing goes on without it
            *self._books.works(),
            self._watch.run(),
            self._refresher.run(),  # the last: it is renewed
        ]
        self._failed = asyncio.get_running_loop().create_future()
        self._tasks = [self._spawn(work) for work in works]
        self._books.wake()

    async def watch(self, stop: asyncio.Event) -> None:
        """Wait until told to stop. Raises RelayError where the relay cannot go on.

        That is without its queue or its storage; the log has what else a part of it dies of.
        """
        stopping = asyncio.ensure_future(stop.wait())
        either: set[asyncio.Future[Any]] = {stopping, self._failed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._failed.done():
            raise self._failed.result()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        known = isinstance(error, RelayError)
        if error:
            log.critical(
                "a part of the relay has ended: %s", error, exc_info=None if known else error
            )
        if task is self._tasks[0] and not known:
            error = RelayError("the queue has failed: the log tells why")
        if isinstance(error, RelayError) and not self._failed.done():
            self._failed.set_result(error)

    def reopen_logs(self) -> None:
        """Open the violation log anew (SIGHUP)."""
        self._books.reopen_log()

    async def renew(self, settings: Settings) -> None:
        """Go on with other settings; deliveries under way end with the old ones.

        Raises ConfigError where credentials cannot be read, and then nothing has changed.
        """
        before, scout = self._deliverer, self._scout
        self._use(settings, delivery_settings(settings))
        self._watch.renew(self._view())
        await scout.aclose()
        self._stores.spool.reserve = settings.storage.reserve
        self._scheduler.renew(self._rules(), config.domain_bounds(settings))
        self.hooks.renew(accept_settings(settings))
        self._books.renew(settings)
        self._tasks[-1].cancel()
        self._tasks[-1] = self._spawn(self._refresher.run())
        if not self._deliveries[before]:
            self._part(before)

    def _use(self, settings: Settings, delivery: DeliverySettings) -> None:
        self._settings = settings
        resolver = build_resolver(settings, self._clock)
        finder = build_finder(settings, resolver, self._stores.policies, self._clock)
        dice = random.Random()  # noqa: S311 - spreads load, guards nothing
        delivery = remembering(settings, delivery, self._stores.levels.level_of)
        self._deliverer = Deliverer(delivery, resolver, finder.find, self._clock, dice)
        self._scout = self._deliverer.scout()
        self._refresher = Refresher(
            finder, self._stores.policies, self._clock, self._books.note_findings
        )

    # A deliverer of former settings closes its connections after its last delivery
    async def _deliver(
        self,
        domain: str,
        envelope: Envelope,
        body: bytes,
        since: float,
        anew: bool,
    ) -> DeliveryResult:
        deliverer = self._deliverer
        self._deliveries[deliverer] += 1
        try:
            return await deliverer.deliver(domain, envelope, body, since, anew)
        finally:
            self._deliveries[deliverer] -= 1
            if not self._deliveries[deliverer]:
                del self._deliveries[deliverer]
                if deliverer is not self._deliverer:
                    self._part(deliverer)

    # Not within a delivery: a stop would cut it though the mail is out
    def _part(self, deliverer: Deliverer) -> None:
        task = self._spawn(deliverer.aclose())
        self._partings.add(task)
        task.add_done_callback(self._partings.discard)

    def rest(self) -> None:
        """Begin no further delivery; mail that still comes in is kept for the next start."""
        self._scheduler.rest()

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109 - the operator's stop_timeout
        """Let attempts end for `timeout` seconds, then cut them; they stay queued."""
        await self._scheduler.aclose(timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._scout.aclose()
        self._part(self._deliverer)
        await asyncio.gather(*self._partings, return_exceptions=True)
        await self._books.aclose()
        await asyncio.to_thread(self._stores.close)

    async def _accept(self, message: Message, origin: Origin) -> None:
        await self._scheduler.accept(message, partial(self._note_accepted, message, origin))

    def _note_accepted(self, message: Message, origin: Origin) -> None:
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

    def _view(self) -> View:
        policies = self._stores.policies
        return watch_view(self._settings, self._scout, policies, self._books.note_findings)

    def _note_release(self, seen: Prospect, text: str) -> None:
        self._journal.write("released", domain=seen.domain, host=seen.host, message=text)

    def _rules(self) -> Rules:
        queue = self._settings.queue
        return Rules(
            Schedule(queue.retry, queue.lifetime, queue.warn_after, queue.warn_after_policy),
            self._settings.hostname,
            random.Random().random,  # noqa: S311 - spreads retries, guards nothing
            lambda: new_queue_id(self._clock.now(), secrets.randbelow),
            queue.postmaster,
        )

    def _settled(self, settlement: Settlement, result: DeliveryResult) -> None:
        if settlement.findings:
            self._books.wake()
        self._watch.note(settlement)
        now = self._clock.now()
        self._books.count(result.handovers, now)
        for event, fields in events_of(settlement, result, now):
            self._journal.write(event, **fields)
