"""DNS look-ups as values (RFC 1035, RFC 2308): the only file that imports dnspython."""

import asyncio
import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.rrset

from relay.clock import Clock
from relay.immutable import immutable

T = TypeVar("T")


class DnsStatus(Enum):
    """What a look-up came to. NODATA and NXDOMAIN are answers; TROUBLE may pass (transient)."""

    FOUND = "found"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    TROUBLE = "trouble"  # SERVFAIL, timeout, refused, bogus, malformed


@immutable
class Answer(Generic[T]):
    """The records of one look-up, in the order of the answer; empty unless `status` is FOUND.

    `canonical` is the name the records were found at after CNAMEs, without a final dot. `detail`
    says for a person what the trouble was. `expires` is when the answer is stale, in seconds since
    1970: the lowest TTL of the chain, RFC 2308 for negative answers, `now` for trouble.
    """

    status: DnsStatus
    records: tuple[T, ...] = ()
    canonical: str = ""
    detail: str = ""
    expires: float = 0.0


@immutable
class MxRecord:
    """One MX record: `host` lower-case without a final dot; "" is the root name (RFC 7505)."""

    preference: int
    host: str


class Resolver(Protocol):
    """Look-ups of absolute names (no search list); never raises for what the network does."""

    async def mx(self, name: str) -> Answer[MxRecord]:
        """The MX records of a domain, CNAMEs followed, unsorted."""
        ...

    async def txt(self, name: str) -> Answer[tuple[bytes, ...]]:
        """The TXT records of a name: each a tuple of its character-strings."""
        ...

    async def addresses(self, name: str) -> Answer[str]:
        """AAAA and A records as text, AAAA first. FOUND when either family answered with records;
        TROUBLE when none did and one of them failed."""
        ...

    def since(self, moment: float) -> "Resolver":
        """The same, but that no answer will do which came before then, by the loop's clock."""
        ...


_CACHE_LIMIT = 20_000  # answers kept; the oldest goes first
_KEPT_LENGTH = 8192  # characters of an answer's records that are kept
_LONGEST = 86_400.0  # seconds; no TTL is believed beyond a day
_AT_ONCE = 100  # questions under way, each with a socket; further ones wait for their turn
_PAYLOAD = 1232  # octets over UDP that are not fragmented; more comes over TCP
_TELLING = (DnsStatus.TROUBLE, DnsStatus.NODATA, DnsStatus.NXDOMAIN)  # where nothing was found
_HOPELESS = (dns.exception.DNSException, OSError, ValueError)

_Records = Callable[[dns.rrset.RRset], tuple[Any, ...]]


class DnsResolver:
    """Asks the given nameservers, or the system's; keeps answers for their TTL and no longer.

    Equal questions asked at the same time are asked once. TROUBLE is never kept.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None,
        timeout: float,
        clock: Clock,
        *,
        stub: dns.asyncresolver.Resolver | None = None,
    ) -> None:
        """`timeout` is for one look-up in all, in seconds; `stub` replaces dnspython's own."""
        self._stub = stub or _stub(nameservers)
        self._timeout = timeout
        self._clock = clock
        # each answer with when it came, by the loop's clock
        self._cache: dict[tuple[str, str], tuple[Answer[Any], float]] = {}
        self._since = -math.inf
        self._asking: dict[tuple[str, str], asyncio.Task[Answer[Any]]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def mx(self, name: str) -> Answer[MxRecord]:
        """The MX records of a domain."""
        return self._kept((name, "MX")) or await self._find(name, "MX", _mx_records)

    async def txt(self, name: str) -> Answer[tuple[bytes, ...]]:
        """The TXT records of a name."""
        return self._kept((name, "TXT")) or await self._find(name, "TXT", _txt_records)

    async def addresses(self, name: str) -> Answer[str]:
        """The AAAA and A records of a name as text."""
        if kept := self._kept((name, "")):
            return kept
        kinds = ("AAAA", "A")
        both = await asyncio.gather(*(self._find(name, kind, _address_records) for kind in kinds))
        answer = _joined(*both)
        known = [self._cache.get((name, kind), (None, 0.0)) for kind in kinds]
        if all(one is kept for one, (kept, _) in zip(both, known, strict=True)):
            self._keep((name, ""), answer, min(came for _, came in known))
        return answer

    # A copy shares the memory and the questions under way
    def since(self, moment: float) -> "DnsResolver":
        """The same, but that no answer will do which came before then, by the loop's clock."""
        other = copy(self)
        other._since = moment
        return other

    async def _find(self, name: str, kind: str, records: _Records) -> Answer[Any]:
        key = (name, kind)
        if kept := self._kept(key):
            return kept
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._ask_in_turn(name, kind, records))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # one asker's end must not be the others'
        answer = await asyncio.shield(task)
        # what is huge is asked for again: the cache is bounded in octets, too
        if answer.expires > self._clock.now() and len(repr(answer.records)) <= _KEPT_LENGTH:
            self._keep(key, answer, asyncio.get_running_loop().time())
        return answer

    def _kept(self, key: tuple[str, str]) -> Answer[Any] | None:
        if not (found := self._cache.get(key)):
            return None
        kept, came = found
        fits = 0 < kept.expires - self._clock.now() <= _LONGEST and came >= self._since
        return kept if fits else None

    def _keep(self, key: tuple[str, str], answer: Answer[Any], came: float) -> None:
        self._cache.pop(key, None)
        if len(self._cache) >= _CACHE_LIMIT:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = (answer, came)

    async def _ask_in_turn(self, name: str, kind: str, records: _Records) -> Answer[Any]:
        async with self._turns:
            return await self._ask(name, kind, records)

    async def _ask(self, name: str, kind: str, records: _Records) -> Answer[Any]:
        now = self._clock.now()
        try:
            question = dns.name.from_text(name, dns.name.root)
            answer = await self._stub.resolve(
                question, kind, search=False, raise_on_no_answer=False, lifetime=self._timeout
            )
        except dns.resolver.NXDOMAIN as error:
            ttl = _negative_ttl(next(iter(error.kwargs["responses"].values())))
            return Answer(DnsStatus.NXDOMAIN, expires=now + ttl)
        except _HOPELESS as error:
            return Answer(DnsStatus.TROUBLE, detail=_words(error), expires=now)
        if not answer.rrset:
            return Answer(DnsStatus.NODATA, expires=now + _negative_ttl(answer.response))
        ttl = min(float(answer.chaining_result.minimum_ttl), _LONGEST)
        canonical = _text(answer.canonical_name)
        return Answer(DnsStatus.FOUND, records(answer.rrset), canonical, "", now + ttl)


# Stale as soon as what either family was told is
def _joined(six: Answer[str], four: Answer[str]) -> Answer[str]:
    expires = min(six.expires, four.expires)
    found = [one for one in (six, four) if one.status is DnsStatus.FOUND]
    if found:
        records = tuple(record for one in found for record in one.records)
        return Answer(DnsStatus.FOUND, records, found[0].canonical, "", expires)
    return replace(min(four, six, key=lambda one: _TELLING.index(one.status)), expires=expires)


def adopt(resolver: object, timeout: float, clock: Clock) -> Resolver:
    """What a program hands in as its resolver: ours, dnspython's own, or None for the system's."""
    if isinstance(resolver, dns.asyncresolver.Resolver):
        return DnsResolver(None, timeout, clock, stub=resolver)
    return cast(Resolver, resolver) if resolver else DnsResolver(None, timeout, clock)


def _stub(nameservers: Sequence[tuple[str, int]] | None) -> dns.asyncresolver.Resolver:
    stub = dns.asyncresolver.Resolver(configure=nameservers is None)
    if nameservers is not None:
        stub.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    stub.use_edns(0, 0, _PAYLOAD)
    stub.cache = None
    return stub


# RFC 2308 §5: a negative answer lives as long as its SOA says; without one it is not kept
def _negative_ttl(response: dns.message.Message) -> float:
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return min(float(min(rrset.ttl, rrset[0].minimum)), _LONGEST)
    return 0.0


def _mx_records(rrset: dns.rrset.RRset) -> tuple[MxRecord, ...]:
    return tuple(MxRecord(one.preference, _text(one.exchange)) for one in rrset)


# RFC 8461 §3.1: the strings of one record are joined by the reader, with nothing between
def _txt_records(rrset: dns.rrset.RRset) -> tuple[tuple[bytes, ...], ...]:
    return tuple(tuple(one.strings) for one in rrset)


def _address_records(rrset: dns.rrset.RRset) -> tuple[str, ...]:
    return tuple(one.address for one in rrset)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _words(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        return "no nameserver gave an answer (SERVFAIL, REFUSED or the like)"
    return str(error) or type(error).__name__
