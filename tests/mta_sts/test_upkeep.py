"""When policies are refreshed, warned of and removed: tables of cases."""

from dataclasses import replace

import pytest

from relay.address import Domain
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.freshness import fail
from relay.mta_sts.policy import CachedPolicy, Policy
from relay.mta_sts.upkeep import (
    HISTORY,
    LEASE,
    RETENTION,
    Steadiness,
    due_at,
    is_over,
    is_worth_a_warning,
    leased_until,
)

NOW = 1_000_000_000.0
HOUR, DAY = 3600.0, 86_400.0
FAILURE = fail(MtaStsError("http_status_503", "no"), "A", NOW)


def kept(max_age: float, age: float = 0.0, mode: str = "enforce") -> CachedPolicy:
    policy = Policy(version="STSv1", mode=mode, mx=("mx.d.test",), max_age=int(max_age))
    return CachedPolicy(Domain("d.test"), "A", policy, "", NOW - age)


@pytest.mark.parametrize(
    ("cached", "earliest", "latest"),
    [
        pytest.param(kept(30 * DAY), 17.25 * HOUR, 23 * HOUR, id="STS-66: daily"),
        pytest.param(kept(365 * DAY), 17.25 * HOUR, 23 * HOUR, id="STS-66: however long it lives"),
        pytest.param(kept(DAY), 9 * HOUR, 12 * HOUR, id="STS-66: well before a short one ends"),
        pytest.param(
            kept(1.9 * HOUR),
            DAY,
            DAY,
            id="very short: left to the next mail",
        ),
        pytest.param(
            replace(kept(30 * DAY, DAY), failure=FAILURE),
            0.75 * HOUR,
            HOUR,
            id="STS-67: again soon after a failure",
        ),
        pytest.param(
            replace(kept(DAY, 22 * HOUR), failure=FAILURE),
            1350,
            1800,
            id="STS-67: sooner near the end",
        ),
        pytest.param(kept(DAY, 2 * DAY), DAY, DAY, id="ended: looked at daily"),
        pytest.param(
            CachedPolicy(Domain("d.test"), failure=FAILURE),
            DAY,
            DAY,
            id="a failure alone: looked at daily",
        ),
    ],
)
def test_when_it_is_due(cached: CachedPolicy, earliest: float, latest: float) -> None:
    assert due_at(cached, NOW, 0.0) - NOW == pytest.approx(latest)
    assert due_at(cached, NOW, 1.0) - NOW == pytest.approx(earliest)


def test_what_is_claimed_comes_back_when_nothing_was_done() -> None:
    assert leased_until(kept(DAY), NOW) == NOW + LEASE
    assert leased_until(kept(DAY, 2 * DAY), NOW) == NOW + DAY
    assert leased_until(kept(DAY, 365 * DAY), NOW) == NOW + LEASE


def test_what_ended_long_ago_is_over() -> None:
    assert not is_over(kept(DAY), NOW)
    assert not is_over(kept(DAY, RETENTION), NOW)
    assert is_over(kept(DAY, RETENTION + DAY), NOW)
    assert RETENTION < HISTORY


def test_sts_74_a_policy_from_the_future_is_not_over() -> None:
    assert not is_over(kept(DAY, -365 * DAY), NOW)


FAILING = replace(kept(30 * DAY, DAY), failure=replace(FAILURE, count=3, since=NOW - HOUR))


@pytest.mark.parametrize(
    ("cached", "worth"),
    [
        pytest.param(FAILING, True, id="STS-67: repeatedly"),
        pytest.param(replace(FAILING, policy=kept(1, mode="testing").policy), False, id="ended"),
        pytest.param(
            replace(FAILING, policy=kept(30 * DAY, mode="none").policy), False, id="STS-67: none"
        ),
        pytest.param(
            replace(FAILING, failure=replace(FAILURE, count=2, since=NOW - DAY)), False, id="twice"
        ),
        pytest.param(
            replace(FAILING, failure=replace(FAILURE, count=9, since=NOW - 60)),
            False,
            id="for a minute",
        ),
        pytest.param(
            replace(FAILING, failure=replace(FAILURE, count=9, since=NOW - DAY, told_at=NOW - 60)),
            False,
            id="told a minute ago",
        ),
        pytest.param(
            replace(FAILING, failure=replace(FAILURE, count=9, since=NOW - DAY, told_at=NOW - DAY)),
            True,
            id="told a day ago",
        ),
        pytest.param(
            replace(FAILING, failure=replace(FAILURE, count=9, since=NOW - DAY, told_at=NOW + DAY)),
            True,
            id="STS-74: told in the future",
        ),
        pytest.param(kept(DAY), False, id="all is well"),
    ],
)
def test_when_the_operator_is_warned(cached: CachedPolicy, worth: bool) -> None:
    assert is_worth_a_warning(cached, NOW) is worth


def test_sts_67_three_refreshes_that_fail_are_told_well_before_the_end() -> None:
    for max_age in (2 * HOUR, DAY, 7 * DAY, 365 * DAY):
        cached, now, told = kept(max_age), NOW, None
        while told is None:
            now = due_at(cached, now, 0.0)
            assert now < cached.expires
            failure = fail(MtaStsError("http_status_503", "no"), "A", now, cached.failure)
            cached = replace(cached, failure=failure)
            told = now if is_worth_a_warning(cached, now) else None
        assert told < NOW + max_age * 0.9


def test_sts_74_a_clock_that_jumps_is_not_believed_for_a_while() -> None:
    clock = Steadiness(NOW, 50.0)
    assert not clock.observe(NOW + 299, 349.0)
    assert clock.observe(NOW + 330, 350.0)
    assert not clock.observe(NOW + DAY, 360.0)
    assert not clock.observe(NOW + DAY + 60, 420.0)
    assert clock.observe(NOW + DAY + 300, 660.0)
    assert not clock.observe(NOW, 670.0)
