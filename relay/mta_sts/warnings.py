"""What the relay's log says of a domain's policy. Judges nothing."""

import logging
from collections.abc import Iterable

from relay.evidence import Finding
from relay.mta_sts.policy import CachedPolicy
from relay.timestamp import rfc3339

log = logging.getLogger(__name__)


def warn(findings: Iterable[Finding]) -> None:
    """Of what was found of policies."""
    for finding in findings:
        log.warning("%s: %s", finding.domain, finding.detail)


def warn_of_failures(cached: CachedPolicy) -> None:
    """Of a policy that cannot be refreshed, where there is one."""
    policy, failure = cached.policy, cached.failure
    if not policy or not failure:
        return
    log.warning(
        "%s: its policy of mode %s could not be refreshed %d times since %s and ends at %s: %s",
        cached.domain,
        policy.mode,
        failure.count,
        rfc3339(failure.since),
        rfc3339(cached.expires),
        failure.message,
    )
