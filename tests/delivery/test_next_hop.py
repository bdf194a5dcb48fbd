"""Which route holds for a destination, and how next hops are written."""

from itertools import permutations

import pytest

from relay.delivery.credentials import Credentials
from relay.delivery.next_hop import NextHop, find_route

PATTERNS = ["*", "*.test", "*.d.test", "d.test", "a.d.test"]


@pytest.mark.parametrize(
    ("destination", "pattern"),
    [
        pytest.param("d.test", "d.test", id="the domain itself"),
        pytest.param("a.d.test", "a.d.test", id="itself before a wildcard"),
        pytest.param("b.d.test", "*.d.test", id="the closest wildcard"),
        pytest.param("c.b.d.test", "*.d.test", id="at any depth"),
        pytest.param("x.a.d.test", "*.d.test", id="a domain is no wildcard"),
        pytest.param("xd.test", "*.test", id="whole labels only"),
        pytest.param("test", "*", id="a wildcard is not its own top"),
        pytest.param("e.example", "*", id="everything else"),
        pytest.param("[192.0.2.1]", "*", id="STS-15 an address literal"),
    ],
)
def test_closest(destination: str, pattern: str) -> None:
    """STS-14: whatever the order."""
    for order in permutations(PATTERNS):
        assert find_route(destination, {one: one for one in order}) == pattern


@pytest.mark.parametrize("destination", ["e.example", "d.test", "x.e.d.test", "[IPv6:::1]"])
def test_none(destination: str) -> None:
    assert find_route(destination, {"*.e.example": 1, "e.d.test": 2}) is None


@pytest.mark.parametrize(
    ("next_hop", "text"),
    [
        (NextHop("isp.test"), "isp.test"),
        (NextHop("isp.test", 26), "isp.test:26"),
        (NextHop("out.isp.test", 587, by_mx=False), "[out.isp.test]:587"),
        (NextHop("[192.0.2.1]", by_mx=False), "[192.0.2.1]"),
        (NextHop("[IPv6:::1]", 25, by_mx=False), "[IPv6:::1]:25"),
    ],
)
def test_written(next_hop: NextHop, text: str) -> None:
    assert str(next_hop) == text


def test_credentials_do_not_show() -> None:
    next_hop = NextHop("isp.test", identity=Credentials("someone", "secret"))
    assert "someone" not in repr(next_hop)
    assert "secret" not in repr(next_hop)
    assert next_hop != NextHop("isp.test", identity=Credentials("someone", "other"))
