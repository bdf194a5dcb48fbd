"""A domain's policy as it applies now: record, cache and fetch together (RFC 8461 §3.3, §5.1)."""

import asyncio
import logging
from dataclasses import dataclass, replace

from relay.address import Domain
from relay.clock import Clock
from relay.errors import StorageError
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.mta_sts.discover import discover
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.fetch import Fetch
from relay.mta_sts.freshness import (
    Decision,
    Discovery,
    Step,
    applied,
    backs_off,
    decide,
    fail,
    is_live,
    result_of,
)
from relay.mta_sts.policy import CachedPolicy, Policy, PolicyResult, parse_policy
from relay.mta_sts.store import PolicyStore
from relay.resolver import Resolver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What holds for a domain. `policy` is the one to apply, of mode "none" where none does;
    `snapshot` the same for evidence, None where no policy was had; `findings` what went wrong, told
    to one caller only however many asked."""

    result: PolicyResult
    snapshot: PolicySnapshot | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy to apply."""
        return self.result.policy


class PolicyFinder:
    """Finds policies; one fetch at a time for a domain, whoever asks."""

    def __init__(self, resolver: Resolver, store: PolicyStore, fetch: Fetch, clock: Clock) -> None:
        """`fetch` gets a policy file's body."""
        self._resolver = resolver
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._flights: dict[Domain, asyncio.Task[Found]] = {}

    async def find(self, domain: Domain, *, refresh: bool = False) -> Found:
        """The policy of a domain now. Never raises for what the network does.

        `refresh` fetches even where the cache would do. A live cached policy outlives any trouble
        (RFC 8461 §3.3); trouble without one is no policy, with the error and a finding.
        """
        discovery = await discover(self._resolver, domain)
        cached = self._store.load(domain)
        now = self._clock.now()
        decision = decide(cached, discovery, now)
        if discovery.id and (refresh or decision.step is Step.FETCH):
            return await self._fetch_once(domain, discovery.id, cached)
        if decision.step is Step.FAILED and discovery.error:
            return await self._note_trouble(domain, discovery, cached)
        return _found(cached, decision, discovery.id, now)

    def find_kept(self, domain: Domain) -> Found:
        """What the cache alone says."""
        cached = self._store.load(domain)
        now = self._clock.now()
        step = Step.RENEWED if is_live(cached, now) else Step.ABSENT
        return _found(cached, Decision(step), None, now)

    async def _fetch_once(
        self, domain: Domain, record_id: str, cached: CachedPolicy | None
    ) -> Found:
        flight = self._flights.get(domain)
        if flight is not None:
            # the one who started the fetch tells what went wrong, the others only share the result
            return replace(await asyncio.shield(flight), findings=())
        flight = asyncio.ensure_future(self._fetch_new(domain, record_id, cached))
        self._flights[domain] = flight
        flight.add_done_callback(lambda _: self._flights.pop(domain, None))
        return await asyncio.shield(flight)

    async def _fetch_new(
        self, domain: Domain, record_id: str, cached: CachedPolicy | None
    ) -> Found:
        try:
            body = await self._fetch(domain)
            policy = parse_policy(body)
        except MtaStsError as error:
            return await self._fail(domain, record_id, cached, error)
        now = self._clock.now()
        text = body.decode("utf-8", "replace")
        # RFC 8461 §8.1: the id seen before the fetch is kept with the body
        fresh = CachedPolicy(domain, record_id, policy, text, now)
        await self._save(fresh)
        return Found(PolicyResult(applied(fresh, None), "found"), fresh.snapshot())

    # RFC 8461 §3.3: a failed fetch neither replaces nor shortens the policy that is kept
    async def _fail(
        self, domain: Domain, record_id: str, cached: CachedPolicy | None, error: MtaStsError
    ) -> Found:
        now = self._clock.now()
        kept = replace(cached or CachedPolicy(domain), failure=fail(error, record_id, now))
        await self._save(kept)
        step = Step.KEEP if is_live(cached, now) else Step.FAILED
        found = _found(kept, Decision(step, error), record_id, now)
        return replace(found, findings=(_finding(domain, found.snapshot, error, now),))

    # DNS trouble or doubled records without a cache: told once in a back-off, asked each time
    async def _note_trouble(
        self, domain: Domain, discovery: Discovery, cached: CachedPolicy | None
    ) -> Found:
        assert discovery.error is not None  # noqa: S101 - the caller has looked
        now = self._clock.now()
        before = cached.failure if cached else None
        decision = Decision(Step.FAILED, discovery.error)
        if before and before.code == discovery.error.code and backs_off(before, now):
            return _found(cached, decision, None, now)
        failure = fail(discovery.error, None, now)
        kept = replace(cached or CachedPolicy(domain), failure=failure)
        await self._save(kept)
        finding = _finding(domain, None, discovery.error, now)
        return replace(_found(kept, decision, None, now), findings=(finding,))

    async def _save(self, cached: CachedPolicy) -> None:
        try:
            await self._store.save(cached)
        except StorageError as error:
            log.warning("the policy of %s is used but not kept: %s", cached.domain, error)


def _found(
    cached: CachedPolicy | None, decision: Decision, record_id: str | None, now: float
) -> Found:
    live = is_live(cached, now)
    snapshot = cached.snapshot() if cached and live else None
    return Found(result_of(cached, decision, record_id), snapshot)


def _finding(
    domain: Domain, snapshot: PolicySnapshot | None, error: MtaStsError, now: float
) -> Finding:
    return Finding(
        time=now,
        domain=domain,
        policy=snapshot,
        failure=_failure(error.code),
        detail=error.message,
        action=Action.NOTED,
    )


# RFC 8460 §4.3.2.2
def _failure(code: str) -> Failure:
    if code == "webpki_invalid":
        return Failure.STS_WEBPKI_INVALID
    if code.startswith("invalid_sts_") or code == "multi_sts_records":
        return Failure.STS_POLICY_INVALID
    return Failure.STS_POLICY_FETCH_ERROR
