"""What was found amiss with a domain's policy, as evidence. Pure."""

from dataclasses import replace

from relay.address import Domain
from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.mta_sts.change import losses
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.policy import CachedPolicy
from relay.timestamp import rfc3339


def trouble(
    domain: Domain, snapshot: PolicySnapshot | None, error: MtaStsError, now: float
) -> Finding:
    """A look-up that failed; `snapshot` of the policy that holds all the same."""
    noted = _noted(domain, snapshot, _failure(error.code), error.message, now)
    return replace(noted, handshake=error.handshake)


def alarms(before: CachedPolicy, after: CachedPolicy, now: float) -> tuple[Finding, ...]:
    """What a new policy protects less from; with the policy before it, which was live."""
    if before.policy is None or after.policy is None:
        return ()
    found = losses(before.policy, after.policy)
    snapshot = before.snapshot()
    return tuple(_noted(after.domain, snapshot, one, detail, now) for one, detail in found)


def removed(cached: CachedPolicy, error: MtaStsError, now: float) -> tuple[Finding, ...]:
    """The record of a live policy is gone. RFC 8461 §8.3: from mode none that is the way out."""
    if cached.policy is None or cached.policy.mode == "none":
        return ()
    detail = f"{error.message}, while its policy of mode {cached.policy.mode} holds until "
    detail += rfc3339(cached.expires)
    return (_noted(cached.domain, cached.snapshot(), Failure.POLICY_REMOVED, detail, now),)


def _noted(
    domain: Domain, snapshot: PolicySnapshot | None, failure: Failure, detail: str, now: float
) -> Finding:
    return Finding(
        time=now,
        domain=domain,
        policy=snapshot,
        failure=failure,
        detail=detail,
        action=Action.NOTED,
    )


# RFC 8460 §4.3.2.2
def _failure(code: str) -> Failure:
    if code == "webpki_invalid":
        return Failure.STS_WEBPKI_INVALID
    if code.startswith("invalid_sts_") or code == "multi_sts_records":
        return Failure.STS_POLICY_INVALID
    return Failure.STS_POLICY_FETCH_ERROR
