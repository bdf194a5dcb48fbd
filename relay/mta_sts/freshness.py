"""What to do for a domain, given what is kept of it and its record (RFC 8461 §3.3, §5.1). Pure."""

from enum import Enum

from relay.immutable import immutable
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy, PolicyResult, moment

BACK_OFF = 300.0  # seconds between tries for one record id, RFC 8461 §3.3
_EARLIER = 8  # further record ids that failed and are remembered: more than DNS can mix up
_AHEAD = 86_400.0  # a fetch time further in the future than this many seconds is void


@immutable
class Discovery:
    """What DNS says: an id, an error, or neither (`absence` tells which kind of nothing)."""

    id: str | None = None
    error: MtaStsError | None = None
    absence: MtaStsError | None = None


class Step(Enum):
    """What comes next."""

    FETCH = "fetch"
    RENEWED = "renewed"
    KEEP = "keep"  # the cached policy holds, with the error
    FAILED = "failed"  # there is no policy, with the error
    ABSENT = "absent"


@immutable
class Decision:
    """A step and the error that goes with it."""

    step: Step
    error: MtaStsError | None = None


def is_live(cached: CachedPolicy | None, now: float) -> bool:
    """Whether the cached policy still holds; a clock set back makes none immortal."""
    return bool(cached and cached.policy and cached.fetched_at - _AHEAD <= now < cached.expires)


def decide(cached: CachedPolicy | None, discovery: Discovery, now: float) -> Decision:
    """What to do; never raises."""
    live = is_live(cached, now)
    if discovery.id is None:
        return _without_record(discovery, live=live)
    failure = cached.failure if cached else None
    if failure and _is_ahead(_next_try_of(failure, discovery.id), now):
        return Decision(Step.KEEP if live else Step.FAILED, failure.error)
    # RFC 8461 §3.1: the id is opaque; the same one means the same policy
    if cached and live and cached.record_id == discovery.id and cached.fetched_at <= now + 1:
        return Decision(Step.RENEWED)
    return Decision(Step.FETCH)


def backs_off(failure: FetchFailure, now: float) -> bool:
    """Whether it is too early to try again; a clock set back does not make it longer."""
    return _is_ahead(failure.next_try, now)


def _is_ahead(next_try: float | None, now: float) -> bool:
    return next_try is not None and 0 < next_try - now <= BACK_OFF


# RFC 8461 §3.3: each id waits for itself, though nameservers may give now one and now another
def _next_try_of(failure: FetchFailure, record_id: str | None) -> float | None:
    if failure.record_id == record_id:
        return failure.next_try
    return next((at for id, at in failure.earlier if id == record_id), None)


# RFC 8461 §3.3: a cached policy outlives a record that is gone, doubled or not to be had
def _without_record(discovery: Discovery, *, live: bool) -> Decision:
    if live:
        return Decision(Step.KEEP, discovery.error or discovery.absence)
    if discovery.error:
        return Decision(Step.FAILED, discovery.error)
    return Decision(Step.ABSENT)


def fail(
    error: MtaStsError,
    record_id: str | None,
    now: float,
    before: FetchFailure | None = None,
    *,
    gone: bool = False,
) -> FetchFailure:
    """The failure to keep of an error just met, after the one before it, if any."""
    return FetchFailure(
        error.code,
        error.message,
        record_id,
        at=now,
        next_try=now + BACK_OFF,
        count=before.count + 1 if before else 1,
        since=before.since if before else now,
        told_at=before.told_at if before else None,
        gone=gone,
        earlier=_still_waiting(before, record_id, now) if before else (),
    )


def _still_waiting(
    before: FetchFailure, record_id: str | None, now: float
) -> tuple[tuple[str, float], ...]:
    failed = [*before.earlier, (before.record_id, before.next_try)]
    waiting = [(id, at) for id, at in failed if id and id != record_id and _is_ahead(at, now)]
    return tuple(waiting[-_EARLIER:])


def is_told(earlier: FetchFailure, failure: FetchFailure, now: float) -> bool:
    """Whether trouble with the record was told by whoever met it first: the same error a moment
    ago, or a record that has been gone all the time."""
    if failure.code in ("ENOTFOUND", "ENODATA"):
        return earlier.gone
    same = (earlier.record_id, earlier.code) == (failure.record_id, failure.code)
    return same and backs_off(earlier, now)


def is_overcome(cached: CachedPolicy, now: float) -> bool:
    """Whether the failure kept beside a policy just confirmed by its record says nothing any more:
    it was of another record, and so long ago that asking again is no haste."""
    failure = cached.failure
    if failure is None or backs_off(failure, now):
        return False
    return failure.record_id != cached.record_id


def result_of(
    cached: CachedPolicy | None, decision: Decision, record_id: str | None
) -> PolicyResult:
    """The documented result of a decision other than FETCH."""
    match decision.step:
        case Step.RENEWED | Step.KEEP if cached:
            status = "renewed" if decision.step is Step.RENEWED else "errored"
            return PolicyResult(applied(cached, decision.error), status)
        case Step.ABSENT:
            return PolicyResult(Policy(), "not_found")
        case _:
            return PolicyResult(_failed(cached, decision.error, record_id), "errored")


def applied(cached: CachedPolicy, error: MtaStsError | None) -> Policy:
    """The cached policy with its id, its end, and the error met, if any."""
    policy = cached.policy or Policy()
    return Policy(
        id=cached.record_id,
        version=policy.version,
        mode=policy.mode,
        mx=policy.mx,
        max_age=policy.max_age,
        expires=moment(cached.expires),
        error=error,
    )


def _failed(
    cached: CachedPolicy | None, error: MtaStsError | None, record_id: str | None
) -> Policy:
    failure = cached.failure if cached else None
    at = _next_try_of(failure, record_id) if failure and record_id else None
    return Policy(id=record_id, expires=moment(at) if at else None, error=error)
