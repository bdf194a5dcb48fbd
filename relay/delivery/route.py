"""Which hosts take mail for a destination (RFC 5321 §5.1, RFC 7505). Knows no policy and no TLS."""

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from itertools import zip_longest
from operator import is_
from random import Random

from relay.address import Network, destination_address, is_allowed
from relay.delivery.blame import Blame
from relay.delivery.hop import Host
from relay.delivery.memory import Recent
from relay.delivery.next_hop import NextHop
from relay.delivery.own import OwnAddresses
from relay.immutable import immutable
from relay.outcome import Reason
from relay.reply import Reply
from relay.resolver import Answer, DnsStatus, MxRecord, Resolver

_HOST_LIMIT = 20
_ADDRESS_LIMIT = 10


@immutable
class Route:
    """The hosts in the order to be tried, at least one; some may have no address, but a trouble."""

    hosts: tuple[Host, ...]


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
        """`port` is where hosts are talked to unless a next hop has its own; `dice` shuffles hosts
        of equal preference."""
        self._resolver = resolver
        self._own = own
        self._port = port
        self._allow_internal = tuple(allow_internal)
        self._dice = dice
        # by destination and port; each with the answers that it follows from
        self._lately = Recent[tuple[str, int | None], tuple[tuple[object, ...], Route | Blame]]()

    async def find_hosts(
        self, next_hop: NextHop, since: float | None = None
    ) -> tuple[MxRecord, ...] | Blame:
        """The MX records in the order to be tried, the domain itself where it has none; or why
        there are no hosts. The reply's severity tells whether that is final.

        With `since`, by the loop's clock, they were looked up after then.
        """
        domain = next_hop.destination
        if not next_hop.by_mx:
            return (MxRecord(0, domain),)
        resolver = self._resolver if since is None else self._resolver.since(since)
        answer = await resolver.mx(domain)
        # RFC 5321 §5.1: without MX records the domain itself is the host
        if answer.status is DnsStatus.NODATA:
            return (MxRecord(0, domain),)
        return _fault_of(domain, answer) or self._in_order(answer.records)

    async def locate(self, next_hop: NextHop, records: Sequence[MxRecord]) -> Route | Blame:
        """The way to hosts that `find_hosts` gave: addresses looked up, ourselves cut off."""
        names = [record.host for record in records]
        answers = await self._look_up(names)
        missing = answers[0].status in (DnsStatus.NODATA, DnsStatus.NXDOMAIN)
        if next_hop.by_mx and names == [next_hop.destination] and missing:
            return _dns(550, "5.4.4", f"{names[0]} has neither an MX host nor an address")
        return self._vetted_lately(next_hop, records, answers)

    # What DNS has said is the same object until it is asked again; our own addresses may change
    # meanwhile
    def _vetted_lately(
        self, next_hop: NextHop, records: Sequence[MxRecord], answers: Sequence[Answer[str]]
    ) -> Route | Blame:
        now, basis = asyncio.get_running_loop().time(), (records, *answers)
        place = (next_hop.destination, next_hop.port)
        before, route = self._lately.recall(place, now) or ((), None)
        if route is None or not all(map(is_, basis, before)):
            route = self._vetted(next_hop, records, answers)
            self._lately.keep(place, (basis, route), now)
        return route

    # Most domains have one host, and a task of its own costs more than what is asked of the memory
    async def _look_up(self, names: Sequence[str]) -> Sequence[Answer[str]]:
        if len(names) == 1:
            return [await self._resolver.addresses(names[0])]
        return await asyncio.gather(*map(self._resolver.addresses, names))

    def reach(self, next_hop: NextHop) -> Route | Blame:
        """The way to an address literal such as "[192.0.2.1]"."""
        address = destination_address(next_hop.destination) or ""
        answer = Answer(DnsStatus.FOUND, (address,))
        # what the operator writes is trusted, what DNS says is not
        allow = [ip_network(address)] if next_hop.route else []
        return self._vetted(next_hop, [MxRecord(0, address)], [answer], allow)

    # RFC 5321 §5.1: lower preference first, equal ones in random order
    def _in_order(self, records: Sequence[MxRecord]) -> tuple[MxRecord, ...]:
        if len(records) == 1:
            return tuple(records)
        ranks = {record: (record.preference, self._dice.random()) for record in records}
        # RFC 7505 §3: "." beside real hosts is an error: the others are used
        ranked = sorted((record for record in ranks if record.host), key=ranks.__getitem__)
        first = {record.host: record for record in reversed(ranked)}
        return tuple(one for one in ranked if first[one.host] is one)[:_HOST_LIMIT]

    # RFC 5321 §5.1: our own host and all at or above its preference are dropped
    def _vetted(
        self,
        next_hop: NextHop,
        records: Sequence[MxRecord],
        answers: Sequence[Answer[str]],
        allow: Sequence[Network] = (),
    ) -> Route | Blame:
        port = next_hop.port or self._port
        found = list(zip(records, answers, strict=True))
        ours = [
            one.preference for one, answer in found if self._is_own(one.host, answer.records, port)
        ]
        hosts = [
            self._host(one.host, answer, allow)
            for one, answer in found
            if not ours or one.preference < min(ours)
        ]
        if not hosts:
            return _dns(554, "5.4.6", "mail loops back: this relay is the best MX host itself")
        return Route(tuple(hosts))

    def _is_own(self, name: str, addresses: Iterable[str], port: int) -> bool:
        known = any(self._own.has_address(address, port) for address in addresses)
        return known or self._own.has_name(name)

    def _host(self, name: str, answer: Answer[str], allow: Sequence[Network]) -> Host:
        if answer.status is not DnsStatus.FOUND:
            return Host(name, trouble=_unknown(name, answer))
        internal = (*self._allow_internal, *allow)
        allowed = [one for one in answer.records if is_allowed(one, internal)]
        if not allowed:
            return Host(name, trouble=_internal(name, answer.records))
        return Host(name, _by_turns(allowed)[:_ADDRESS_LIMIT])


# RFC 8305 §4: the families by turns, so that a dead one costs one attempt; else as resolved
# (RFC 5321 §5.1)
def _by_turns(addresses: Sequence[str]) -> tuple[str, ...]:
    six = [one for one in addresses if ":" in one]
    four = [one for one in addresses if ":" not in one]
    pairs = zip_longest(six, four)
    return tuple(one for pair in pairs for one in pair if one)


def _fault_of(domain: str, answer: Answer[MxRecord]) -> Blame | None:
    if answer.status is DnsStatus.NXDOMAIN:
        return _dns(550, "5.1.2", f"the domain {domain} does not exist")
    if answer.status is DnsStatus.TROUBLE:
        detail = f"the MX hosts of {domain} cannot be looked up: {answer.detail}"
        return _dns(451, "4.4.3", detail)
    # RFC 7505 §3, §4.1: "." alone says that the domain takes no mail
    if not any(record.host for record in answer.records):
        return _dns(556, "5.1.10", f"the domain {domain} takes no mail (null MX)")
    return None


# RFC 5321 §5.1: an error, but not for ever: the zone may be repaired
def _unknown(name: str, answer: Answer[str]) -> Blame:
    if answer.status is DnsStatus.TROUBLE:
        return _dns(451, "4.4.3", f"{name} cannot be looked up: {answer.detail}", name)
    return _dns(451, "4.4.4", f"the host {name} has no address in DNS", name)


def _internal(name: str, addresses: Sequence[str]) -> Blame:
    shown = ", ".join(addresses[:_ADDRESS_LIMIT])
    text = f"{name} has only internal addresses that delivery.allow_internal does not list: {shown}"
    return Blame(Reason.UNREACHABLE, Reply(451, "4.4.4", text), name)


def _dns(code: int, status: str, text: str, host: str | None = None) -> Blame:
    return Blame(Reason.DNS, Reply(code, status, text), host)
