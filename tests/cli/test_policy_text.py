"""What people read of a policy: views, and the lines they bring."""

from collections.abc import Sequence

import pytest

from relay.address import Domain
from relay.cli.policy_text import View, describe, span
from relay.mta_sts import MtaStsError, Policy, PolicyResult
from relay.mta_sts.lint import Remark, Severity
from relay.mta_sts.policy import CachedPolicy, FetchFailure, moment

NOW = 1_800_000_000.0
DAY = 86_400.0
ERROR = MtaStsError("http_status_404", "https://mta-sts.d.test/ answered 404")
FAILURE = FetchFailure(ERROR.code, ERROR.message, "1", NOW - 60, NOW + 240, 1, NOW - 60)


def policy(mode: str = "enforce", error: MtaStsError | None = None) -> Policy:
    mx = ("mx.d.test", "*.in.d.test")
    return Policy("1", "STSv1", mode, mx, 604_800, moment(NOW + 6 * DAY), error)


def cached(age: float, failure: FetchFailure | None = None) -> CachedPolicy:
    return CachedPolicy(Domain("d.test"), "1", policy(), "", NOW - age, failure)


def lines(
    status: str,
    found: Policy,
    kept: CachedPolicy | None = None,
    hosts: Sequence[tuple[int, str]] | str | None = None,
    *,
    offline: bool = False,
) -> list[str]:
    view = View("d.test", PolicyResult(found, status), kept, hosts, offline=offline)
    return list(describe(view, NOW))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (60, "60 s"),
        (119.9, "2 min"),
        (5400, "90 min"),
        (3 * 3600 + 1, "3 h"),
        (DAY, "24 h"),
        (7 * DAY - 0.1, "7 days"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("shown", "head", "source"),
    [
        (lines("found", policy()), "mode enforce", "fetched now, expires in 6 days (2027-01-21T"),
        (
            lines("renewed", policy("testing"), cached(3 * 3600)),
            "mode testing",
            "from the cache, fetched 3 h ago, expires in 6 days",
        ),
        (
            lines("renewed", policy(), cached(60), offline=True),
            "mode enforce",
            "from the cache alone, fetched 60 s ago, expires in 6 days",
        ),
        (lines("not_found", Policy()), "publishes no MTA-STS policy", "DNS has no record"),
        (
            lines("not_found", Policy(), cached(9 * DAY), offline=True),
            "no policy is in force",
            "the cached policy (mode enforce) expired 2 days ago",
        ),
        (
            lines("not_found", Policy(), offline=True),
            "no policy is in force",
            "nothing is cached",
        ),
        (lines("errored", Policy(error=ERROR)), "no policy is in force", "no policy is cached"),
    ],
)
def test_first_what_holds_and_where_it_is_from(shown: list[str], head: str, source: str) -> None:
    assert shown[0] == f"d.test: {head}"
    assert shown[1].startswith(f"  source   {source}")


def test_sts_62_trouble_beside_the_policy_that_holds() -> None:
    shown = lines("errored", policy(error=ERROR), cached(60, FAILURE))
    assert shown[0] == "d.test: mode enforce"
    assert shown[-1] == (
        "  trouble  https://mta-sts.d.test/ answered 404 (http_status_404), 60 s ago, "
        "tried again in 4 min"
    )


@pytest.mark.parametrize(
    ("mode", "host", "verdict"),
    [
        ("enforce", "mx.d.test", "allowed by mx.d.test"),
        ("enforce", "a.in.d.test", "allowed by *.in.d.test"),
        ("enforce", "a.b.in.d.test", "refused: no pattern covers it"),
        ("testing", "b.test", "recorded: no pattern covers it; mail is delivered all the same"),
        ("testing", "mx.d.test", "allowed by mx.d.test"),
        ("none", "b.test", "allowed, no policy asks for anything"),
    ],
)
def test_sts_81_the_verdict_on_a_host(mode: str, host: str, verdict: str) -> None:
    assert (
        lines("found", policy(mode), hosts=[(10, host)])[-1] == f"  hosts    10  {host}  {verdict}"
    )


def test_hosts_stand_in_columns_and_why_there_are_none_is_told() -> None:
    shown = lines("found", policy(), hosts=[(5, "mx.d.test"), (100, "long.mx.d.test")])
    assert shown[-2:] == [
        "  hosts      5  mx.d.test       allowed by mx.d.test",
        "           100  long.mx.d.test  refused: no pattern covers it",
    ]
    assert lines("found", policy(), hosts="the domain takes no mail")[-1].endswith("no mail")


def test_remarks_or_that_there_are_none() -> None:
    view = View("d.test", PolicyResult(Policy(), "not_found"), remarks=[])
    assert list(describe(view, NOW))[-1] == "  remarks  none"
    view = View(
        "d.test",
        PolicyResult(Policy(), "not_found"),
        remarks=[Remark(Severity.NOTE, "one"), Remark(Severity.SERIOUS, "two")],
    )
    assert list(describe(view, NOW))[-2:] == [
        "  remarks  note     one",
        "           serious  two",
    ]


def test_nothing_from_the_network_drives_a_terminal() -> None:
    error = MtaStsError("http_error", "bad \x1b[2J\r\n name")
    for line in lines("errored", Policy(id="\x1b", error=error)):
        assert line.isprintable()
