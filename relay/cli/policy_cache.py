"""What `relay policy` reads from the cache alone, without the network."""

from relay.address import Domain
from relay.cli.policy_text import View
from relay.clock import SystemClock
from relay.config import Settings
from relay.db.policies import PolicyTable
from relay.mta_sts.freshness import Decision, Step, backs_off, is_live, result_of
from relay.mta_sts.lint import Setup, lint
from relay.mta_sts.policy import CachedPolicy

_FILE = "policies.db"


def view_offline(settings: Settings, domain: Domain) -> View:
    """What the cache says of a domain. Raises StorageError."""
    policies = PolicyTable(settings.storage_directory / _FILE)
    try:
        cached = policies.load(domain)
    finally:
        policies.close()
    now = SystemClock().now()
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
