"""`get_policy`: one look-up for programs that keep policies themselves (docs/results.md)."""

from dataclasses import replace

import httpx

from relay.address import Domain, parse_domain
from relay.clock import SystemClock
from relay.mta_sts.discover import discover
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher, fetch_with
from relay.mta_sts.freshness import (
    BACK_OFF,
    Decision,
    Step,
    applied,
    decide,
    fail,
    is_live,
    result_of,
)
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy, PolicyResult, parse_policy
from relay.resolver import adopt

_DNS_TIMEOUT = 5.0
_FETCH_TIMEOUT = 60.0


async def get_policy(
    domain: str,
    known_policy: Policy | None = None,
    *,
    resolver: object = None,
    client: httpx.AsyncClient | None = None,
) -> PolicyResult:
    """The policy of a domain, given what an earlier result said of it.

    Keep `result.policy` and hand it in again: it carries id, expiry and, after a failure, the error
    and when to try again. A final dot of `domain` is dropped. `resolver` is one of ours or a
    dns.asyncresolver.Resolver, None the system's resolv.conf; with `client` policy hosts are
    resolved and verified by it. Raises AddressError for a text that is no domain, nothing else.
    """
    name = parse_domain(domain.removesuffix("."))
    clock = SystemClock()
    ours = adopt(resolver, _DNS_TIMEOUT, clock)
    cached = _cached(name, known_policy)
    discovery = await discover(ours, name)
    now = clock.now()
    decision = decide(cached, discovery, now)
    if decision.step is not Step.FETCH or discovery.id is None:
        return result_of(cached, decision, discovery.id)
    try:
        if client:
            body = await fetch_with(client, name, _FETCH_TIMEOUT)
        else:
            body = await PolicyFetcher(ours, FetchSettings()).fetch(name)
        policy = parse_policy(body)
    except MtaStsError as error:
        return _failed(cached, error, discovery.id, clock.now())
    fresh = CachedPolicy(name, discovery.id, policy, "", clock.now())
    return PolicyResult(applied(fresh, None), "found")


# RFC 8461 §3.3: what is known and still lives outlives the failure
def _failed(
    cached: CachedPolicy | None, error: MtaStsError, record_id: str, now: float
) -> PolicyResult:
    failure = fail(error, record_id, now)
    step = Step.KEEP if is_live(cached, now) else Step.FAILED
    kept = replace(cached or CachedPolicy(Domain("")), failure=failure)
    return result_of(kept, Decision(step, failure.error), record_id)


def _cached(domain: Domain, known: Policy | None) -> CachedPolicy | None:
    if known is None or known.expires is None:
        return None
    failure, ends = _failure(known), known.expires.timestamp()
    if known.version:
        plain = replace(known, error=None)
        return CachedPolicy(domain, known.id, plain, "", ends - known.max_age, failure)
    return CachedPolicy(domain, failure=failure) if failure else None


def _failure(known: Policy) -> FetchFailure | None:
    if known.error is None:
        return None
    if known.error.next_try is not None:
        return fail(known.error, known.error.record_id, known.error.next_try - BACK_OFF)
    if known.version or known.expires is None:
        return None
    # rebuilt by the program from what as_dict() gives: the id and the time are the policy's
    return fail(known.error, known.id, known.expires.timestamp() - BACK_OFF)
