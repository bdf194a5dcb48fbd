"""Who may relay (RFC 5321 §3.6.2). Knows networks only."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from relay.address import Network

_SITE = 64  # bits


def may_relay(peer: str, allow: Iterable[Network]) -> bool:
    """Whether a client at this IP address may relay; a text that is no address may not."""
    ip = _address(peer)
    return ip is not None and any(ip in network for network in allow)


@lru_cache(maxsize=1024)
def client_key(peer: str) -> str:
    """Whom a client at this IP address is counted as: in IPv6 one has a whole network."""
    ip = _address(peer)
    if isinstance(ip, IPv6Address):
        return str(ip_network((ip, _SITE), strict=False))
    return str(ip or peer)


@lru_cache(maxsize=1024)
def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    # a listener for both families shows IPv4 clients as ::ffff:192.0.2.1
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
