"""Waivers and requirements in the configuration: what becomes of them, every fault with its key."""

import re
from datetime import UTC, datetime
from pathlib import Path
from tomllib import loads

import pytest

from relay import config
from relay.config import waiver_values
from relay.delivery import waiver as delivery
from relay.delivery.tls import Requirement
from relay.errors import ConfigError

DAY = 86_400
END = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
GOOD = {
    "domain": '"D.test"',
    "allow": '"no-tls"',
    "until": "2027-01-31",
    "reason": '"they know, ticket 7"',
}


def written(**changes: str | None) -> str:
    keys = GOOD | changes
    return "[[waiver]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value)


def parse(text: str) -> config.Settings:
    return config.parse(loads("[server]\nhostname = 'relay.a.test'\n" + text), Path())


def test_what_becomes_of_waivers() -> None:
    settings = parse(
        written(allow='["mx-mismatch", "bad-certificate"]') + written() + written(domain="'e.test'")
    )
    why = "they know, ticket 7"
    assert config.tls_rules(settings).waivers == {
        "d.test": [
            delivery.Waiver("d.test", "mx-mismatch", END, why, "waiver[0]"),
            delivery.Waiver("d.test", "bad-certificate", END, why, "waiver[0]"),
            delivery.Waiver("d.test", "no-tls", END, why, "waiver[1]"),
        ],
        "e.test": [delivery.Waiver("e.test", "no-tls", END, why, "waiver[2]")],
    }


def test_the_kinds_are_those_of_delivery() -> None:
    assert waiver_values.KINDS == delivery.KINDS


@pytest.mark.parametrize(
    ("until", "end"),
    [
        pytest.param("2027-01-31", END, id="the whole of that day"),
        pytest.param("2027-02-01T00:00:00Z", END, id="a moment"),
        pytest.param("2027-02-01T02:00:00+02:00", END, id="in another zone"),
        pytest.param("2027-01-31T23:59:59.5Z", END - 0.5, id="a part of a second"),
        pytest.param("2028-02-29", datetime(2028, 3, 1, tzinfo=UTC).timestamp(), id="leap day"),
        pytest.param("2999-12-31", datetime(3000, 1, 1, tzinfo=UTC).timestamp(), id="the last"),
    ],
)
def test_end(until: str, end: float) -> None:
    assert parse(written(until=until)).waiver[0].until == end


MOMENT = r"must be a date without quotes, such as 2027-01-31, or a time with its zone"
KINDS = 'must be "mx-mismatch" or "bad-certificate" or "no-tls", or a list of these'
FAULTS = [
    *((written(**{key: None}), rf"waiver\[0\].{key}: is missing") for key in GOOD),
    (written(until="2027-01-31T18:00:00"), rf"waiver\[0\].until: {MOMENT}.*, not 2027-01-31T18:"),
    (written(until="18:00:00"), rf"waiver\[0\].until: {MOMENT}"),
    (written(until='"2027-01-31"'), rf"waiver\[0\].until: {MOMENT}.*, not '2027-01-31'"),
    (written(until='"never"'), rf"waiver\[0\].until: {MOMENT}"),
    (written(until="9999-12-31"), rf"waiver\[0\].until: {MOMENT}.* years 2000 .*, not 9999-12-31$"),
    (written(until="0001-01-01T00:00:00+14:00"), rf"waiver\[0\].until: {MOMENT}"),
    (written(reason='"  "'), r"waiver\[0\].reason: must be a few words on one line"),
    (written(reason='"a\\nb"'), r"waiver\[0\].reason: must be a few words on one line"),
    (written(reason=f'"{"x" * 301}"'), r"waiver\[0\].reason: must be .* at most 300 characters"),
    (written(reason="1"), r"waiver\[0\].reason: must be a few words"),
    (written(domain='"*.d.test"'), r"waiver\[0\].domain: must be one domain .* without a star"),
    (written(domain='"*"'), r"waiver\[0\].domain: must be one domain"),
    (written(domain='"[192.0.2.1]"'), r"waiver\[0\].domain: must be one domain"),
    (written(allow='"everything"'), rf"waiver\[0\].allow: {KINDS}"),
    (written(allow="[]"), rf"waiver\[0\].allow: {KINDS}"),
    (written(allow='["no-tls", "no-tls"]'), rf"waiver\[0\].allow: {KINDS}"),
    (written(allow='["no-tls", 1]'), rf"waiver\[0\].allow: {KINDS}"),
    (written(allow="[[1]]"), rf"waiver\[0\].allow: {KINDS}"),
    (
        written(domain='"e.test"') + written() + written(domain='"d.Test"'),
        r"waiver\[2\].allow: d.test has a waiver for no-tls already, waiver\[1\]",
    ),
    ("[waiver]\ndomain = 'd.test'\n", r"waiver: must be sections, \[\[waiver\]\]"),
    ("[[require]]\ndomain = 'd.test'\n", r"require\[0\].tls: is missing"),
    ("[[require]]\ntls = 'verify'\n", r"require\[0\].domain: is missing"),
    ("[[require]]\ndomain = 'd.test'\ntls = 'opportunistic'\n", r"require\[0\].tls: must be"),
    ("[[require]]\ndomain = '*d.test'\ntls = 'verify'\n", r"require\[0\].domain: must be"),
    (
        "[[require]]\ndomain = 'd.test'\ntls = 'verify'\n"
        "[[require]]\ndomain = 'D.test'\ntls = 'encrypt'\n",
        r"require\[1\].domain: d.test has a requirement already, require\[0\]",
    ),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_fault(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    [told] = refusal.value.problems
    assert re.match(fault, told), told


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(written(until=None, reason=None, allow='"x"'))
    keys = [problem.partition(":")[0] for problem in refusal.value.problems]
    assert sorted(keys) == ["waiver[0].allow", "waiver[0].reason", "waiver[0].until"]


def test_what_becomes_of_requirements() -> None:
    text = "[[require]]\ndomain = '*.D.test'\ntls = 'verify'\n"
    required = Requirement("verify", "[[require]] for *.d.test")
    assert config.tls_rules(parse(text)).requirements == {"*.d.test": required}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        pytest.param(END - 14 * DAY - 1, None, id="long before"),
        pytest.param(END - 14 * DAY, "ends 2027-02-01T00:00:00.000Z, in 14 days;", id="14 days"),
        pytest.param(END - DAY, "in 1 day;", id="a day"),
        pytest.param(END - DAY + 1, "within a day;", id="less"),
        pytest.param(END, "has ended, 2027-02-01T00:00:00.000Z; take it out", id="on the second"),
    ],
)
def test_an_end_is_warned_of(now: float, words: str | None) -> None:
    told = config.warnings(parse(written()), now)
    assert len(told) == (words is not None)
    for warning in told:
        assert warning.startswith("waiver[0].until: the waiver for d.test ")
        assert str(words) in warning


@pytest.mark.parametrize(
    ("domain", "next_hop", "is_told"),
    [
        pytest.param("*", "[out.isp.test]", True, id="it goes elsewhere"),
        pytest.param("d.test", "d.test", False, id="to its own hosts"),
        pytest.param("e.test", "d.test", False, id="another's goes there"),
        pytest.param("e.test", "e.test", False, id="no route of its own"),
    ],
)
def test_a_domain_that_a_route_leads_past_is_warned_of(
    domain: str, next_hop: str, is_told: bool
) -> None:
    route = f"[[route]]\ndomain = '{domain}'\nnext_hop = '{next_hop}'\n"
    require = "[[require]]\ndomain = 'd.test'\ntls = 'verify'\n"
    told = config.warnings(parse(written() + require + route), END - 100 * DAY)
    expected = ["waiver[0].domain", "require[0].domain"] if is_told else []
    assert [warning.partition(":")[0] for warning in told] == expected
    assert all(f"goes to {next_hop} (route for {domain})" in warning for warning in told)
