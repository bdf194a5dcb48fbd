"""What holds for a domain after a look-up, for delivery and for evidence. Pure."""

from functools import lru_cache

from relay.evidence import Finding, PolicySnapshot
from relay.immutable import immutable
from relay.mta_sts.freshness import Decision, Step, is_live, result_of
from relay.mta_sts.policy import CachedPolicy, Policy, PolicyResult

_COMMON = 1024  # characters of a policy file that is looked at once


@immutable
class Found:
    """What holds for a domain. `policy` is the one to apply, of mode "none" where none does;
    `snapshot` the same for evidence, None where no policy was had; `findings` what went wrong, told
    to one caller only however many asked; `body` the file just fetched, right or wrong, if any."""

    result: PolicyResult
    snapshot: PolicySnapshot | None = None
    findings: tuple[Finding, ...] = ()
    body: bytes | None = None

    @property
    def policy(self) -> Policy:
        """The policy to apply."""
        return self.result.policy


def found_kept(
    cached: CachedPolicy | None, decision: Decision, record_id: str | None, now: float
) -> Found:
    """What holds by a decision other than FETCH, `record_id` None without a record."""
    live = is_live(cached, now)
    snapshot = cached.snapshot() if cached and live else None
    return Found(result_of(cached, decision, record_id), snapshot)


def renewed(cached: CachedPolicy) -> Found:
    """What holds where the record confirms a live policy of a store: mostly the same object.

    Its text bounds what is held of it.
    """
    return (_renewed if len(cached.text) <= _COMMON else _renewed.__wrapped__)(cached)


@lru_cache(maxsize=1024)  # most mail of a domain finds its policy as the message before
def _renewed(cached: CachedPolicy) -> Found:
    result = result_of(cached, Decision(Step.RENEWED), cached.record_id)
    return Found(result, cached.snapshot())
