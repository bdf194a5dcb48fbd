"""On what terms mail goes to a next hop."""

import pytest

from relay.delivery.next_hop import NextHop
from relay.delivery.terms import terms_for
from relay.delivery.tls import Floors, Level

OURS = Floors("encrypt", "opportunistic")
ROUTE = NextHop("d.test", floors=Floors("verify", "verify"), route="route[0]")
TESTING = (Level.VERIFIED, Level.ENCRYPTED)


@pytest.mark.parametrize(
    ("hop", "mode", "ladder", "floor"),
    [
        pytest.param(NextHop("d.test"), "enforce", (Level.VERIFIED,), None, id="enforce"),
        pytest.param(NextHop("d.test"), "testing", TESTING, None, id="testing"),
        pytest.param(NextHop("d.test"), "none", (Level.ENCRYPTED, Level.CLEAR), None, id="none"),
        pytest.param(ROUTE, "none", (Level.VERIFIED,), "route[0].tls", id="route"),
        pytest.param(ROUTE, "testing", (Level.VERIFIED,), "route[0].tls", id="route, testing"),
    ],
)
def test_terms(hop: NextHop, mode: str, ladder: tuple[Level, ...], floor: str | None) -> None:
    terms = terms_for(hop, mode, None, OURS)
    assert (terms.domain, terms.mode) == ("d.test", mode)
    assert (terms.ladder, terms.floor) == (ladder, floor)
