"""Who may relay: networks against peers."""

from ipaddress import ip_network

import pytest

from relay.inbound.access import client_key, may_relay

ALLOW = [ip_network(text) for text in ("127.0.0.0/8", "::1/128", "192.0.2.0/24", "fe80::/10")]


@pytest.mark.parametrize(
    "peer",
    ["127.0.0.1", "127.255.0.9", "::1", "192.0.2.77", "::ffff:192.0.2.77", "fe80::1%eth0"],
)
def test_allowed(peer: str) -> None:
    assert may_relay(peer, ALLOW)


@pytest.mark.parametrize(
    "peer",
    ["192.0.3.1", "::2", "::ffff:198.51.100.1", "2001:db8::1", "", "localhost", "127.0.0.1 "],
)
def test_refused_srv_29(peer: str) -> None:
    assert not may_relay(peer, ALLOW)


def test_nobody_is_allowed_by_nothing() -> None:
    assert not may_relay("127.0.0.1", [])


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_whom_a_client_counts_as(peer: str, key: str) -> None:
    assert client_key(peer) == key
