"""Who may relay (RFC 5321 §3.6.2). Knows networks only."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from relay.address import Network


def may_relay(peer: str, allow: Iterable[Network]) -> bool:
    """Whether a client at this IP address may relay; a text that is no address may not."""
    try:
        ip = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    # a listener for both families shows IPv4 clients as ::ffff:192.0.2.1
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in allow)
