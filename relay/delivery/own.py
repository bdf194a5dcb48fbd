"""How the relay knows itself among other hosts, so that mail does not loop (RFC 5321 §5.1)."""

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from relay.immutable import immutable


@immutable
class OwnAddresses:
    """How the relay knows itself: its name, and the addresses and ports it listens on.

    A listener on "0.0.0.0" or "::" stands for every address of this machine of that family.
    """

    hostname: str
    listeners: tuple[tuple[str, int], ...] = ()

    def has_name(self, host: str) -> bool:
        """Whether this is our own name."""
        return host.lower() == self.hostname.lower()

    def has_address(self, address: str, port: int) -> bool:
        """Whether a connection to this address and port would reach one of our listeners."""
        hosts = [host for host, listening in self.listeners if listening == port]
        return any(_reaches(ip_address(address), host) for host in hosts)


def _reaches(ip: IPv4Address | IPv6Address, listener: str) -> bool:
    with suppress(ValueError):
        own = ip_address(listener)
        if own.is_unspecified and own.version == ip.version:
            return _is_local(ip)
        return own == ip
    return listener == "localhost" and ip.is_loopback


# The system sends to an address of its own from that very address; nothing goes out for this, and
# unlike a bind it is not misled where foreign addresses may be bound (ip_nonlocal_bind)
def _is_local(ip: IPv4Address | IPv6Address) -> bool:
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return ip_address(probe.getsockname()[0]) == ip
    except OSError:
        return False
