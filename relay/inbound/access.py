"""Who may relay (RFC 5321 §3.6.2). Pure; knows networks only."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from relay.address import Network


def may_relay(peer: str, allow: Iterable[Network]) -> bool:
    """Whether a client at this IP address may relay; a text that is no address may not."""
    try:
        ip = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in allow)
