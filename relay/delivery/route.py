"""Which hosts take mail for a destination (RFC 5321 §5.1, RFC 7505). Knows no policy."""

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random

from relay.address import Network, destination_address, is_allowed
from relay.delivery.attempt import Host
from relay.outcome import Reason
from relay.reply import Reply
from relay.resolver import Answer, DnsStatus, MxRecord, Resolver

_HOST_LIMIT = 20
_ADDRESS_LIMIT = 10
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - names of listeners, nothing is bound to them


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """How to know ourselves in a list of MX hosts: our name, and what we listen on."""

    hostname: str
    listeners: tuple[tuple[str, int], ...] = ()

    def has_name(self, host: str) -> bool:
        """Whether this is our own name."""
        return host.lower() == self.hostname.lower()

    def has_address(self, address: str, port: int) -> bool:
        """Whether a connection to this address and port would reach one of our listeners."""
        hosts = [host for host, listening in self.listeners if listening == port]
        return address in hosts or (
            any(host in _WILDCARDS for host in hosts) and _is_local(address)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """The hosts in the order to be tried; never empty."""

    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No host to try; the reply's severity tells whether that is final."""

    reason: Reason
    reply: Reply


class Router:
    """Finds routes; keeps what is the same for all of them."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        own: OwnAddresses,
        port: int,
        allow_internal: Sequence[Network],
        dice: Random,
    ) -> None:
        """`port` is where MX hosts are talked to; `dice` shuffles hosts of equal preference."""
        self._resolver = resolver
        self._own = own
        self._port = port
        self._allow_internal = tuple(allow_internal)
        self._dice = dice

    async def find_route(self, destination: str) -> Route | NoRoute:
        """The hosts for a Domain or an address literal, or why there are none."""
        if address := destination_address(destination):
            return self._without_ourselves([(0, self._host(destination, (address,)))])
        answer = await self._resolver.mx(destination)
        # RFC 5321 §5.1: without MX records the domain itself is the host
        if answer.status is DnsStatus.NODATA:
            answer = Answer(DnsStatus.FOUND, (MxRecord(0, destination),))
        if fault := _fault_of(destination, answer):
            return fault
        records = self._in_order(answer.records)[:_HOST_LIMIT]
        hosts = await asyncio.gather(*(self._find_host(one.host) for one in records))
        return self._without_ourselves(
            [(one.preference, host) for one, host in zip(records, hosts, strict=True)]
        )

    # RFC 5321 §5.1: lower preference first, equal ones in random order
    def _in_order(self, records: Iterable[MxRecord]) -> list[MxRecord]:
        real = {record.host: record for record in records if record.host}
        by_preference = sorted(real.values(), key=lambda record: record.preference)
        order: list[MxRecord] = []
        for _, equal in groupby(by_preference, key=lambda record: record.preference):
            group = list(equal)
            self._dice.shuffle(group)
            order += group
        return order

    async def _find_host(self, name: str) -> Host:
        answer = await self._resolver.addresses(name)
        if answer.status is DnsStatus.FOUND:
            return self._host(name, answer.records)
        trouble = {
            DnsStatus.NXDOMAIN: "there is no such name in DNS",
            DnsStatus.NODATA: "it has no address in DNS",
        }.get(answer.status, f"its address cannot be looked up: {answer.detail}")
        return Host(name, (), trouble)

    def _host(self, name: str, addresses: Sequence[str]) -> Host:
        allowed = [one for one in addresses if is_allowed(one, self._allow_internal)]
        refused = ", ".join(one for one in addresses if one not in allowed)
        trouble = f"internal address {refused} is not in delivery.allow_internal"
        return Host(name, tuple(allowed[:_ADDRESS_LIMIT]), "" if allowed else trouble)

    # RFC 5321 §5.1: our own host and all at or above its preference are dropped
    def _without_ourselves(self, ranked: list[tuple[int, Host]]) -> Route | NoRoute:
        own = [preference for preference, host in ranked if self._is_own(host)]
        left = [host for preference, host in ranked if not own or preference < min(own)]
        if left:
            return Route(tuple(left))
        reply = Reply(554, "5.4.6", "mail loops back to this relay: it is the best MX host itself")
        return NoRoute(Reason.DNS, reply)

    def _is_own(self, host: Host) -> bool:
        return self._own.has_name(host.name) or any(
            self._own.has_address(address, self._port) for address in host.addresses
        )


def _fault_of(domain: str, answer: Answer[MxRecord]) -> NoRoute | None:
    if answer.status is DnsStatus.NXDOMAIN:
        return NoRoute(Reason.DNS, Reply(550, "5.1.2", f"the domain {domain} does not exist"))
    if answer.status is DnsStatus.TROUBLE:
        text = f"the MX hosts of {domain} cannot be looked up: {answer.detail}"
        return NoRoute(Reason.DNS, Reply(451, "4.4.3", text))
    # RFC 7505 §3: "." alone; beside real hosts it is ignored
    if not any(record.host for record in answer.records):
        return NoRoute(Reason.DNS, Reply(556, "5.1.10", f"{domain} takes no mail (null MX)"))
    return None


# An address is this machine's own when a socket can be bound to it
def _is_local(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
    return True
