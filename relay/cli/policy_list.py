"""`relay policy list`: every policy that is kept, and which of them need a look."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from relay.cli.output import Line, print_json, print_stacked, print_table
from relay.cli.policy_text import span, tell
from relay.mta_sts.freshness import is_live
from relay.mta_sts.policy import CachedPolicy, FetchFailure
from relay.timestamp import rfc3339

_WIDE = ("domain", "mode", "id", "fetched", "expires", "state", "last failure")
_STACKED = ("domain, id", "mode, state", "fetched, expires", "last failure")
_STYLES = {"failing": "yellow", "ending": "red", "no-policy": "dim", "expired": "dim"}
_CALM = ("live", "expired")


def print_list(policies: Iterable[CachedPolicy], now: float, *, troubled: bool, wide: bool) -> None:
    """Print policies as a table, with a count of each state; `troubled` leaves the calm ones out.

    `now` in seconds since 1970; `wide` is for programs in any case.
    """
    states: Counter[str] = Counter()
    empty = "no policy is in trouble" if troubled else "no policy is cached"
    rows = _rows(policies, now, states, troubled=troubled)
    if wide or not sys.stdout.isatty():
        print_table(_WIDE, rows, empty=empty, folded=False)
    else:
        print_stacked(_STACKED, map(_stacked, rows), empty=empty)
    if states:
        click.echo(", ".join(f"{count} {state}" for state, count in sorted(states.items())))


def print_objects(policies: Iterable[CachedPolicy], now: float, *, troubled: bool) -> None:
    """Print policies as JSON, one object a line (docs/policies.md)."""
    for cached in policies:
        if not troubled or state_of(cached, now) not in _CALM:
            print_json(_object(cached, now))


def state_of(cached: CachedPolicy, now: float) -> str:
    """One word for how a policy does.

    live; failing: it holds, but the last look-up failed; ending: it holds, but a quarter of its
    max_age is left or less, so that refreshes should have worked long ago; expired; no-policy: only
    a failure is kept.
    """
    if cached.policy is None:
        return "no-policy"
    if not is_live(cached, now):
        return "expired"
    if cached.expires - now <= cached.policy.max_age / 4:
        return "ending"
    return "failing" if cached.failure else "live"


def _rows(
    policies: Iterable[CachedPolicy], now: float, states: Counter[str], *, troubled: bool
) -> Iterator[tuple[str, ...]]:
    for cached in policies:
        state = state_of(cached, now)
        states[state] += 1
        if not troubled or state not in _CALM:
            yield _row(cached, state, now)


def _row(cached: CachedPolicy, state: str, now: float) -> tuple[str, ...]:
    policy = cached.policy
    ends = cached.expires - now
    return (
        cached.domain,
        policy.mode if policy else "-",
        cached.record_id or "-",
        f"{span(now - cached.fetched_at)} ago" if policy else "-",
        (f"in {span(ends)}" if ends > 0 else f"{span(-ends)} ago") if policy else "-",
        state,
        tell(cached.failure, now) if cached.failure else "-",
    )


def _stacked(row: tuple[str, ...]) -> Sequence[Sequence[Line]]:
    domain, mode, record_id, fetched, expires, state, failure = row
    return (
        ((domain, "bold"), (record_id, "dim")),
        ((mode, ""), (state, _STYLES.get(state, ""))),
        ((fetched, ""), (expires, "")),
        ((failure, ""),),
    )


def _object(cached: CachedPolicy, now: float) -> dict[str, Any]:
    policy = cached.policy
    return {
        "domain": cached.domain,
        "state": state_of(cached, now),
        "id": cached.record_id,
        "mode": policy and policy.mode,
        "mx": list(policy.mx) if policy else [],
        "max_age": policy and policy.max_age,
        "fetched": rfc3339(cached.fetched_at) if policy else None,
        "expires": rfc3339(cached.expires) if policy else None,
        "failure": _failure(cached.failure) if cached.failure else None,
    }


def _failure(failure: FetchFailure) -> dict[str, Any]:
    return {
        "code": failure.code,
        "message": failure.message,
        "count": failure.count,
        "since": rfc3339(failure.since),
        "time": rfc3339(failure.at),
        "next_try": rfc3339(failure.next_try),
    }
