"""A domain's policy as it applies now: record, cache and fetch together (RFC 8461 §3.3, §5.1)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from random import Random

from relay.address import Domain
from relay.clock import Clock
from relay.errors import StorageError
from relay.mta_sts.discover import discover
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.fetch import Fetch
from relay.mta_sts.findings import alarms, removed, trouble
from relay.mta_sts.found import Found, found_kept, renewed
from relay.mta_sts.freshness import (
    Decision,
    Discovery,
    Step,
    applied,
    backs_off,
    decide,
    fail,
    is_live,
    is_overcome,
    is_told,
)
from relay.mta_sts.policy import CachedPolicy, PolicyResult, SeenBy, parse_policy
from relay.mta_sts.store import PolicyStore
from relay.mta_sts.upkeep import due_at, is_worth_a_warning
from relay.mta_sts.warnings import warn, warn_of_failures
from relay.resolver import Resolver

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight:
    """A fetch under way for a record id; `told`: its findings have been given to somebody."""

    record_id: str
    task: "asyncio.Task[Found]"
    told: bool = False


class PolicyFinder:
    """Finds policies; one fetch at a time for a domain, whoever asks."""

    def __init__(
        self,
        resolver: Resolver,
        store: PolicyStore,
        fetch: Fetch,
        clock: Clock,
        seen_by: SeenBy = "delivery",
    ) -> None:
        """`fetch` gets a policy file's body; `seen_by` is what history says of look-ups here."""
        self._resolver = resolver
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._seen_by = seen_by
        self._dice = Random()  # noqa: S311 - spreads refreshes, guards nothing
        self._flights: dict[Domain, _Flight] = {}

    async def find(
        self,
        domain: Domain,
        *,
        refresh: bool = False,
        since: float | None = None,
        seen_by: SeenBy | None = None,
    ) -> Found:
        """The policy of a domain now. Never raises for what the network does.

        `refresh` fetches even where the cache would do. With `since`, a time of the loop's clock,
        the record is not taken from a memory older than that. A live cached policy outlives any
        trouble (RFC 8461 §3.3); trouble without one is no policy, with the error and a finding.
        """
        discovery, cached = await self._look(domain, since)
        now = self._clock.now()
        decision = decide(cached, discovery, now)
        if discovery.id is None:
            if decision.error is None:
                return found_kept(cached, decision, None, now)
            return await self._note_trouble(domain, discovery, decision.error, cached)
        if refresh or decision.step is Step.FETCH:
            return await self._fetch_once(domain, discovery.id, seen_by or self._seen_by)
        if cached and decision.step is Step.RENEWED:
            if is_overcome(cached, now):
                await self._keep(replace(cached, failure=None))
            return renewed(cached)
        return found_kept(cached, decision, discovery.id, now)

    # Another process may have seen a newer record than this one remembers: what is older than the
    # cached policy's fetch does not undo it
    async def _look(
        self, domain: Domain, since: float | None
    ) -> tuple[Discovery, CachedPolicy | None]:
        resolver = self._resolver if since is None else self._resolver.since(since)
        discovery = await discover(resolver, domain)
        cached = self._store.load(domain)
        if cached is None or discovery.id in (None, cached.record_id):
            return discovery, cached
        if is_live(cached, now := self._clock.now()):
            age = max(0.0, now - cached.fetched_at)
            resolver = resolver.since(asyncio.get_running_loop().time() - age)
            return await discover(resolver, domain), self._store.load(domain)
        return discovery, cached

    async def find_all(
        self, domains: Iterable[Domain], *, refresh: bool = False, at_once: int = 20
    ) -> AsyncIterator[tuple[Domain, Found]]:
        """The policies of many domains as they are found, `at_once` under way at a time."""
        waiting = iter(domains)
        running: dict[asyncio.Task[Found], Domain] = {}
        try:
            while True:
                for domain in waiting:
                    task = asyncio.ensure_future(self.find(domain, refresh=refresh))
                    running[task] = domain
                    if len(running) >= at_once:
                        break
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield running.pop(task), task.result()
        finally:
            for task in running:
                task.cancel()

    def find_kept(self, domain: Domain) -> Found:
        """What the cache alone says."""
        cached = self._store.load(domain)
        now = self._clock.now()
        step = Step.RENEWED if is_live(cached, now) else Step.ABSENT
        return found_kept(cached, Decision(step), None, now)

    # Whoever asks while a fetch for the same id is under way shares it; one for another id is
    # waited for. One of them tells what went wrong, though the first may have gone away
    async def _fetch_once(self, domain: Domain, record_id: str, seen_by: SeenBy) -> Found:
        while (flight := self._flights.get(domain)) and flight.record_id != record_id:
            await asyncio.wait([flight.task])
        if flight is None:
            task = asyncio.ensure_future(self._fetch_new(domain, record_id, seen_by))
            flight = self._flights[domain] = _Flight(record_id, task)
            task.add_done_callback(lambda _: self._flights.pop(domain, None))
        found = await asyncio.shield(flight.task)
        if flight.told:
            return replace(found, findings=())
        flight.told = True
        return found

    async def _fetch_new(self, domain: Domain, record_id: str, seen_by: SeenBy) -> Found:
        body = None
        try:
            body = await self._fetch(domain)
            policy = parse_policy(body)
        except MtaStsError as error:
            return replace(await self._fail(domain, record_id, error), body=body)
        now = self._clock.now()
        # RFC 8461 §8.1: the id seen before the fetch is kept with the body
        fresh = CachedPolicy(domain, record_id, policy, body.decode("utf-8", "replace"), now)
        before = await self._save(fresh, seen_by)
        findings = alarms(before, fresh, now) if before and is_live(before, now) else ()
        warn(findings)
        return Found(PolicyResult(applied(fresh, None), "found"), fresh.snapshot(), findings, body)

    # RFC 8461 §3.3: a failed fetch neither replaces nor shortens the policy that is kept
    async def _fail(self, domain: Domain, record_id: str, error: MtaStsError) -> Found:
        now = self._clock.now()
        cached = self._store.load(domain) or CachedPolicy(domain)
        kept = replace(cached, failure=fail(error, record_id, now, cached.failure))
        await self._keep(kept)
        step = Step.KEEP if is_live(kept, now) else Step.FAILED
        found = found_kept(kept, Decision(step, error), record_id, now)
        return replace(found, findings=(trouble(domain, found.snapshot, error, now),))

    # The record is asked for each time; what is wrong with it is kept and told once in a back-off,
    # and that of an id is not cut short by trouble with the record
    async def _note_trouble(
        self, domain: Domain, discovery: Discovery, error: MtaStsError, cached: CachedPolicy | None
    ) -> Found:
        now = self._clock.now()
        step = Step.KEEP if is_live(cached, now) else Step.FAILED
        before = cached.failure if cached else None
        if before and backs_off(before, now):
            if before.record_id is not None:
                return found_kept(cached, Decision(step, error), None, now)
            if before.code == error.code:
                return found_kept(cached, Decision(step, before.error), None, now)
        gone = discovery.error is None or bool(before and before.gone)
        failure = fail(error, None, now, before, gone=gone)
        kept = replace(cached or CachedPolicy(domain), failure=failure)
        earlier = await self._keep(kept)
        found = found_kept(kept, Decision(step, error), None, now)
        if earlier and earlier.failure and is_told(earlier.failure, failure, now):
            return found
        if discovery.error:
            return replace(found, findings=(trouble(domain, found.snapshot, error, now),))
        findings = removed(kept, error, now)
        warn(findings)
        return replace(found, findings=findings)

    async def _save(self, fresh: CachedPolicy, seen_by: SeenBy) -> CachedPolicy | None:
        due = due_at(fresh, fresh.fetched_at, self._dice.random())
        try:
            return await self._store.save(fresh, seen_by, due)
        except StorageError as error:
            log.warning("the policy of %s is used but not kept: %s", fresh.domain, error)
            return None

    # What the store had before; the failure is kept, and told where it has lasted
    async def _keep(self, kept: CachedPolicy) -> CachedPolicy | None:
        now = self._clock.now()
        if kept.failure and is_worth_a_warning(kept, now):
            kept = replace(kept, failure=replace(kept.failure, told_at=now))
            warn_of_failures(kept)
        due = due_at(kept, now, self._dice.random())
        try:
            return await self._store.keep_failure(kept.domain, kept.failure, due)
        except StorageError as error:
            log.warning("what failed for the policy of %s is not kept: %s", kept.domain, error)
            return None
