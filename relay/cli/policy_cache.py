"""What `relay policy` reads from the cache alone, without the network."""

from pathlib import Path

from relay.address import Domain
from relay.cli.policy_text import View
from relay.db.policy_reader import read_policy
from relay.mta_sts.freshness import Decision, Step, backs_off, is_live, result_of
from relay.mta_sts.lint import Setup, lint
from relay.mta_sts.policy import CachedPolicy


def view_offline(path: Path, domain: Domain, now: float) -> View:
    """What the cache at `path` says of a domain. Raises StorageError."""
    cached = read_policy(path, domain)
    failure = cached.failure if cached else None
    result = result_of(cached, _decide(cached, now), failure.record_id if failure else None)
    remarks = None
    if cached and result.policy.version:
        remarks = lint(Setup(domain, body=cached.text.encode(), policy=result.policy))
    return View(domain, result, cached, remarks=remarks, offline=True)


# As a live look-up would find it inside a back-off; a failure without a policy stays the last word
def _decide(cached: CachedPolicy | None, now: float) -> Decision:
    failure = cached.failure if cached else None
    if is_live(cached, now):
        if failure and backs_off(failure, now):
            return Decision(Step.KEEP, failure.error)
        return Decision(Step.RENEWED)
    return Decision(Step.FAILED, failure.error) if failure else Decision(Step.ABSENT)
