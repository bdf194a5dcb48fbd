"""The lab's DNS server (RFC 1035, RFC 2308): one zone as plain data, UDP and TCP, with faults.

It knows no policy and no mail; it answers for every name there is, without recursion.
"""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Literal, get_args

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

from relay.lab.streams import serving

Fault = Literal["SERVFAIL", "NXDOMAIN", "NODATA", "REFUSED", "TIMEOUT", "GARBAGE"]

_CHAIN_LIMIT = 16  # CNAMEs followed in one answer: a loop ends here
_PLAIN_UDP = 512  # octets of an answer without EDNS, RFC 1035 §4.2.1
_SOA = "ns.lab.test. hostmaster.lab.test. 1 7200 900 1209600"
_GARBAGE = b"\x84\x00\x00\x01\x00\xff\x00\x00\x00\x00\xc0\xff\xee"  # an answer that ends too early

_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


class DnsServer:
    """A zone and the faults laid over it; changes count at once.

    `queries` has every question received, in order: name without the final dot, and type;
    `tcp_queries` those of them that came over TCP. `negative_ttl`, in seconds, says how long a
    negative answer may be kept. A name "*.x" answers for what is not there (RFC 4592).
    """

    def __init__(self) -> None:
        self.address = ("127.0.0.1", 0)
        self.queries: list[tuple[str, str]] = []
        self.tcp_queries: list[tuple[str, str]] = []
        self.negative_ttl = 60
        self._zone: dict[_Key, dns.rrset.RRset] = {}
        self._faults: dict[_Key, Fault] = {}
        self._names: set[dns.name.Name] | None = None  # all that exist; None: to be found anew

    def add(self, name: str, rdtype: str, *values: str | list[bytes], ttl: int = 300) -> None:
        """Add records in zone file notation; a TXT value may also be its character-strings.

        A TXT value without quotes is one character-string. All records of one name and type have
        one TTL, in seconds: the last one given (RFC 2181 §5.2).
        """
        owner, kind = key = _key(name, rdtype)
        rrset = self._zone.setdefault(key, dns.rrset.RRset(owner, dns.rdataclass.IN, kind))
        self._names = None
        for value in values:
            rrset.add(_rdata(kind, value))
        rrset.ttl = ttl

    def remove(self, name: str, rdtype: str) -> None:
        """Take all records of one name and type away; no error where there are none."""
        self._zone.pop(_key(name, rdtype), None)
        self._names = None

    def replace(self, name: str, rdtype: str, *values: str | list[bytes], ttl: int = 300) -> None:
        """Put these records in the place of those of the same name and type."""
        self.remove(name, rdtype)
        self.add(name, rdtype, *values, ttl=ttl)

    def fail(self, name: str, rdtype: str, fault: Fault) -> None:
        """Answer for this name and type with a fault until `restore`."""
        if fault not in get_args(Fault):
            raise ValueError(f"{fault!r} is none of {get_args(Fault)}")
        self._faults[_key(name, rdtype)] = fault

    def restore(self, name: str, rdtype: str) -> None:
        """Answer from the zone again."""
        self._faults.pop(_key(name, rdtype), None)

    def reply(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer to one question; None where there shall be none."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        self._log(question, tcp)
        records, fault = self._resolve(question.name, question.rdtype)
        match fault:
            case "TIMEOUT":
                return None
            case "GARBAGE":
                return wire[:2] + _GARBAGE
        return _to_wire(query, self._response(query, records, fault), tcp)

    def _log(self, question: dns.rrset.RRset, tcp: bool) -> None:
        asked = (question.name.to_text(omit_final_dot=True), question.rdtype.name)
        self.queries.append(asked)
        if tcp:
            self.tcp_queries.append(asked)

    # RFC 1034 §4.3.2: aliases are followed in the answer, the verdict is about the last name
    def _resolve(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[list[dns.rrset.RRset], Fault | None]:
        chain: list[dns.rrset.RRset] = []
        while len(chain) < _CHAIN_LIMIT:
            if fault := self._faults.get((name, kind)):
                return chain, fault
            if found := self._find(name, kind):
                return [*chain, found], None
            alias = self._find(name, dns.rdatatype.CNAME)
            if not alias:
                return chain, "NODATA" if self._node(name) else "NXDOMAIN"
            chain.append(alias)
            name = alias[0].target
        return chain, None

    def _find(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        node = self._node(name)
        if node is None or (node, kind) not in self._zone:
            return None
        rrset = self._zone[node, kind]
        return dns.rrset.from_rdata_list(name, rrset.ttl, list(rrset))

    # RFC 4592 §3.3.1: a wildcard answers only for names that are not there themselves
    def _node(self, name: dns.name.Name) -> dns.name.Name | None:
        if self._exists(name):
            return name
        encloser = name.parent()
        while encloser != dns.name.root and not self._exists(encloser):
            encloser = encloser.parent()
        wildcard = dns.name.Name((b"*", *encloser.labels))
        return wildcard if self._exists(wildcard) else None

    # RFC 8020 §2: a name with something below it exists, though it has no records
    def _exists(self, name: dns.name.Name) -> bool:
        if self._names is None:
            self._names = {dns.name.root}
            for owner, _ in self._zone:
                while owner not in self._names:
                    self._names.add(owner)
                    owner = owner.parent()
        return name in self._names

    def _response(
        self, query: dns.message.Message, records: list[dns.rrset.RRset], fault: Fault | None
    ) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        response.answer = records
        if fault in ("NXDOMAIN", "NODATA"):
            response.authority = [self._soa(query.question[0].name)]
        if fault and fault != "NODATA":
            response.set_rcode(dns.rcode.from_text(fault))
        return response

    # RFC 2308 §3: a negative answer carries the SOA, or nobody may keep it
    def _soa(self, name: dns.name.Name) -> dns.rrset.RRset:
        apex = dns.name.Name(name.labels[-2:])
        ttl = self.negative_ttl
        return dns.rrset.from_text(apex, ttl, "IN", "SOA", f"{_SOA} {ttl}")


@contextlib.asynccontextmanager
async def running(server: DnsServer) -> AsyncIterator[None]:
    """Serve on one free port of 127.0.0.1, over UDP and TCP; sets `server.address`."""
    async with contextlib.AsyncExitStack() as stack:
        server.address = await _bind(server, stack)
        yield


async def _bind(server: DnsServer, stack: contextlib.AsyncExitStack) -> tuple[str, int]:
    host, loop = "127.0.0.1", asyncio.get_running_loop()

    async def serve_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while length := await reader.readexactly(2):
            query = await reader.readexactly(int.from_bytes(length))
            if answer := server.reply(query, tcp=True):
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()

    while True:
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), (host, 0))
        address: tuple[str, int] = udp.get_extra_info("sockname")
        try:
            await stack.enter_async_context(serving(serve_tcp, *address))
        except OSError as error:
            udp.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            stack.callback(udp.close)
            return address


class _Udp(asyncio.DatagramProtocol):
    """Answers datagrams."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := self._server.reply(data, tcp=False):
            self._transport.sendto(answer, addr)


# RFC 1035 §4.2.1, RFC 6891 §6.2.3: over UDP what does not fit is cut off, and TC says so
def _to_wire(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> bytes:
    limit = 65535 if tcp else max(query.payload, _PLAIN_UDP)
    return response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False)


def _key(name: str, rdtype: str) -> _Key:
    return dns.name.from_text(name), dns.rdatatype.from_text(rdtype)


def _rdata(kind: dns.rdatatype.RdataType, value: str | list[bytes]) -> dns.rdata.Rdata:
    if kind == dns.rdatatype.TXT and not (isinstance(value, str) and value.startswith('"')):
        strings = [value.encode()] if isinstance(value, str) else value
        return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, kind, strings)
    return dns.rdata.from_text(
        dns.rdataclass.IN, kind, str(value), origin=dns.name.root, relativize=False
    )
