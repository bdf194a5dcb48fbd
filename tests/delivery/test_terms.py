"""Terms of an attempt: which settings bind it, and which one is told."""

import pytest

from relay.delivery.next_hop import NextHop
from relay.delivery.terms import Rules, terms_for
from relay.delivery.tls import Floors, Ladder, Level, Requirement
from relay.delivery.waiver import Waiver

CLEAR, ENCRYPTED, VERIFIED = Level.CLEAR, Level.ENCRYPTED, Level.VERIFIED
LAX = Floors("opportunistic", "opportunistic")
STRICT = Floors("verify", "verify")
OWN = "[[require]] for d.test"
OURS = Floors("encrypt", "opportunistic")
ROUTE = NextHop("d.test", floors=Floors("verify", "verify"), route="route[0]")
TESTING = (VERIFIED, ENCRYPTED)


@pytest.mark.parametrize(
    ("hop", "mode", "ladder", "floor"),
    [
        pytest.param(NextHop("d.test"), "enforce", (VERIFIED,), None, id="enforce"),
        pytest.param(NextHop("d.test"), "testing", TESTING, None, id="testing"),
        pytest.param(NextHop("d.test"), "none", (VERIFIED, ENCRYPTED, CLEAR), None, id="none"),
        pytest.param(ROUTE, "none", (VERIFIED,), "route[0].tls", id="route"),
        pytest.param(ROUTE, "testing", (VERIFIED,), "route[0].tls", id="route, testing"),
    ],
)
def test_terms(hop: NextHop, mode: str, ladder: Ladder, floor: str | None) -> None:
    terms = terms_for(hop, mode, None, Rules(OURS))
    assert (terms.domain, terms.mode) == ("d.test", mode)
    assert (terms.ladder, terms.floor) == (ladder, floor)
    assert terms.is_routed is (hop is ROUTE)


def required(tls: str, pattern: str = "d.test") -> dict[str, Requirement]:
    return {pattern: Requirement(tls, f"[[require]] for {pattern}")}


@pytest.mark.parametrize(
    ("mode", "floors", "tls", "ladder", "floor"),
    [
        ("none", LAX, "encrypt", (VERIFIED, ENCRYPTED), OWN),
        ("none", LAX, "verify", (VERIFIED,), OWN),
        ("none", STRICT, "verify", (VERIFIED,), OWN),
        pytest.param("none", STRICT, "encrypt", (VERIFIED,), None, id="nothing is lowered"),
        ("testing", LAX, "encrypt", (VERIFIED, ENCRYPTED), OWN),
        ("testing", LAX, "verify", (VERIFIED,), OWN),
        pytest.param("enforce", LAX, "encrypt", (VERIFIED,), None, id="STS-87 enforce"),
    ],
)
def test_requirement(mode: str, floors: Floors, tls: str, ladder: Ladder, floor: str) -> None:
    terms = terms_for(NextHop("d.test"), mode, None, Rules(floors, required(tls)))
    assert terms.ladder == ladder
    assert mode == "enforce" or terms.floor == floor


@pytest.mark.parametrize(
    ("pattern", "destination", "is_bound"),
    [
        ("d.test", "d.test", True),
        ("d.test", "x.d.test", False),
        ("*.d.test", "x.y.d.test", True),
        ("*.d.test", "d.test", False),
        ("*", "[192.0.2.1]", True),
    ],
)
def test_pattern(pattern: str, destination: str, is_bound: bool) -> None:
    terms = terms_for(NextHop(destination), "none", None, Rules(LAX, required("verify", pattern)))
    assert (terms.ladder == (VERIFIED,)) is is_bound
    assert terms.floor == (f"[[require]] for {pattern}" if is_bound else None)


@pytest.mark.parametrize(
    ("route", "tls", "ladder", "floor"),
    [
        ("opportunistic", "encrypt", (VERIFIED, ENCRYPTED), OWN),
        ("verify", "encrypt", (VERIFIED,), "route[0].tls"),
        ("verify", "verify", (VERIFIED,), OWN),
    ],
)
def test_the_stricter_of_route_and_requirement(
    route: str, tls: str, ladder: Ladder, floor: str
) -> None:
    hop = NextHop("d.test", floors=Floors(route, route), route="route[0]")
    terms = terms_for(hop, "none", None, Rules(STRICT, required(tls)))
    assert (terms.ladder, terms.floor) == (ladder, floor)


def test_sts_14_waivers_of_the_policy_domain_and_of_no_other() -> None:
    mine, other = (Waiver(one, "no-tls", 1.0, "x", one) for one in ("d.test", "e.test"))
    rules = Rules(waivers={"d.test": [mine], "e.test": [other]})
    found = {
        domain: list(terms_for(NextHop(domain), "enforce", None, rules).waivers)
        for domain in ("d.test", "x.d.test", "test", "e.test")
    }
    assert found == {"d.test": [mine], "x.d.test": [], "test": [], "e.test": [other]}


@pytest.mark.parametrize(
    ("mode", "floors", "seen", "strict", "ladder", "remembered"),
    [
        ("none", LAX, VERIFIED, False, (VERIFIED, ENCRYPTED, CLEAR), VERIFIED),
        ("none", LAX, VERIFIED, True, (VERIFIED,), VERIFIED),
        ("none", LAX, ENCRYPTED, True, (VERIFIED, ENCRYPTED), ENCRYPTED),
        ("none", LAX, None, True, (VERIFIED, ENCRYPTED, CLEAR), None),
        pytest.param("none", STRICT, VERIFIED, True, (VERIFIED,), None, id="a floor asks for it"),
        pytest.param(
            "testing", LAX, VERIFIED, True, (VERIFIED, ENCRYPTED, CLEAR), None, id="policy"
        ),
    ],
)
def test_memory(
    mode: str,
    floors: Floors,
    seen: Level | None,
    strict: bool,
    ladder: Ladder,
    remembered: Level | None,
) -> None:
    rules = Rules(floors, recall={"d.test": seen}.get, strict=strict)
    terms = terms_for(NextHop("d.test"), mode, None, rules)
    assert (terms.ladder, terms.remembered) == (ladder, remembered)
    assert terms.floor == ("tls.remember" if strict and remembered else None)
