"""The DNS server as dnspython's own client sees it."""

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from relay.lab.dns import Fault
from relay.lab.world import World

NOERROR, NXDOMAIN = dns.rcode.NOERROR, dns.rcode.NXDOMAIN


async def ask(
    world: World, name: str, rdtype: str, *, edns: bool = True, seconds: float = 5.0
) -> dns.message.Message:
    """The answer over UDP."""
    host, port = world.dns.address
    query = dns.message.make_query(name, rdtype, use_edns=edns)
    return await dns.asyncquery.udp(query, host, port=port, timeout=seconds)


def texts(message: dns.message.Message) -> list[str]:
    """The answer section, record by record."""
    return [line for rrset in message.answer for line in rrset.to_text().splitlines()]


@pytest.mark.parametrize(
    ("rdtype", "value", "expected"),
    [
        ("A", "127.0.1.1", "d.test. 300 IN A 127.0.1.1"),
        ("AAAA", "::1", "d.test. 300 IN AAAA ::1"),
        ("MX", "10 mx.d.test", "d.test. 300 IN MX 10 mx.d.test."),
        ("MX", "0 .", "d.test. 300 IN MX 0 ."),
        ("TXT", '"a" "b c"', 'd.test. 300 IN TXT "a" "b c"'),
        ("TXT", "v=STSv1; id=1;", 'd.test. 300 IN TXT "v=STSv1; id=1;"'),
        ("TXT", [b"a\xff", b""], 'd.test. 300 IN TXT "a\\255" ""'),
        ("CNAME", "e.test", "d.test. 300 IN CNAME e.test."),
    ],
)
async def test_a_record_is_served_as_it_was_added(
    world: World, rdtype: str, value: str | list[bytes], expected: str
) -> None:
    world.dns.add("d.test", rdtype, value)
    answer = await ask(world, "d.test", rdtype)
    assert (answer.rcode(), texts(answer)) == (NOERROR, [expected])
    assert not answer.authority


async def test_records_of_one_name_and_type_add_up_and_can_be_replaced(world: World) -> None:
    world.dns.add("d.test", "A", "127.0.1.1", ttl=60)
    world.dns.add("d.test", "A", "127.0.1.2", ttl=30)
    both = ["d.test. 30 IN A 127.0.1.1", "d.test. 30 IN A 127.0.1.2"]
    assert texts(await ask(world, "d.test", "A")) == both
    world.dns.replace("d.test", "A", "127.0.1.3", ttl=5)
    assert texts(await ask(world, "D.TEST", "A")) == ["D.TEST. 5 IN A 127.0.1.3"]
    world.dns.remove("d.test", "A")
    assert (await ask(world, "d.test", "A")).rcode() == NXDOMAIN


async def test_aliases_are_followed_in_the_answer(world: World) -> None:
    world.dns.add("a.test", "CNAME", "b.test")
    world.dns.add("b.test", "CNAME", "c.test")
    world.dns.add("c.test", "A", "127.0.1.1")
    answer = await ask(world, "a.test", "A")
    assert [rrset.rdtype.name for rrset in answer.answer] == ["CNAME", "CNAME", "A"]
    assert [rrset.name.to_text() for rrset in answer.answer] == ["a.test.", "b.test.", "c.test."]


async def test_an_alias_to_nowhere_is_nxdomain_with_the_alias(world: World) -> None:
    world.dns.add("a.test", "CNAME", "b.test")
    answer = await ask(world, "a.test", "A")
    assert (answer.rcode(), texts(answer)) == (NXDOMAIN, ["a.test. 300 IN CNAME b.test."])


async def test_a_loop_of_aliases_ends(world: World) -> None:
    world.dns.add("a.test", "CNAME", "b.test")
    world.dns.add("b.test", "CNAME", "a.test")
    answer = await ask(world, "a.test", "A")
    assert {rrset.rdtype.name for rrset in answer.answer} == {"CNAME"}


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [
        pytest.param("d.test", "A", NOERROR, id="nodata-other-type"),
        pytest.param("mx.d.test", "A", NOERROR, id="nodata-empty-non-terminal"),
        pytest.param("test", "A", NOERROR, id="nodata-above"),
        pytest.param("x.d.test", "A", NXDOMAIN, id="nxdomain"),
        pytest.param("xd.test", "A", NXDOMAIN, id="nxdomain-same-ending"),
        pytest.param("a.b.mx.d.test", "A", NXDOMAIN, id="nxdomain-below"),
    ],
)
async def test_a_negative_answer_has_the_soa(
    world: World, name: str, rdtype: str, rcode: dns.rcode.Rcode
) -> None:
    world.dns.add("d.test", "MX", "10 a.mx.d.test")
    world.dns.add("a.mx.d.test", "A", "127.0.1.1")
    world.dns.negative_ttl = 7
    answer = await ask(world, name, rdtype)
    assert (answer.rcode(), answer.answer) == (rcode, [])
    (soa,) = answer.authority
    assert (soa.rdtype, soa.ttl, soa[0].minimum) == (dns.rdatatype.SOA, 7, 7)
    assert answer.question[0].name.is_subdomain(soa.name)


async def test_a_wildcard_answers_only_for_what_is_not_there(world: World) -> None:
    world.dns.add("*.d.test", "TXT", "junk")
    world.dns.add("mx.d.test", "A", "127.0.1.1")
    assert texts(await ask(world, "_mta-sts.d.test", "TXT")) == [
        '_mta-sts.d.test. 300 IN TXT "junk"'
    ]
    assert texts(await ask(world, "a.b.d.test", "TXT")) == ['a.b.d.test. 300 IN TXT "junk"']
    assert not (await ask(world, "mx.d.test", "TXT")).answer
    assert (await ask(world, "a.d.test", "A")).rcode() == NOERROR


@pytest.mark.parametrize(
    ("fault", "rcode"),
    [
        ("SERVFAIL", dns.rcode.SERVFAIL),
        ("REFUSED", dns.rcode.REFUSED),
        ("NXDOMAIN", NXDOMAIN),
        ("NODATA", NOERROR),
    ],
)
async def test_a_fault_hides_the_records_until_restored(
    world: World, fault: Fault, rcode: dns.rcode.Rcode
) -> None:
    world.dns.add("d.test", "A", "127.0.1.1")
    world.dns.add("alias.test", "CNAME", "d.test")
    world.dns.fail("d.test", "A", fault)
    for name in ("d.test", "alias.test"):
        answer = await ask(world, name, "A")
        assert (answer.rcode(), answer.get_rrset(answer.answer, *_a("d.test"))) == (rcode, None)
        assert bool(answer.authority) == (fault in ("NXDOMAIN", "NODATA"))
    assert (await ask(world, "d.test", "TXT")).rcode() == NOERROR
    world.dns.restore("d.test", "A")
    assert texts(await ask(world, "d.test", "A")) == ["d.test. 300 IN A 127.0.1.1"]


async def test_timeout_gives_no_answer(world: World) -> None:
    world.dns.fail("d.test", "A", "TIMEOUT")
    with pytest.raises(dns.exception.Timeout):
        await ask(world, "d.test", "A", seconds=0.1)
    assert world.dns.queries == [("d.test", "A")]


async def test_garbage_is_an_answer_nobody_can_read(world: World) -> None:
    world.dns.fail("d.test", "A", "GARBAGE")
    with pytest.raises(dns.exception.FormError):
        await ask(world, "d.test", "A")


def test_an_unknown_fault_is_refused() -> None:
    from relay.lab.dns import DnsServer

    with pytest.raises(ValueError, match="'SERVFIAL' is none of"):
        DnsServer().fail("d.test", "A", "SERVFIAL")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "edns", "truncated"),
    [(400, False, False), (600, False, True), (600, True, False), (4000, True, True)],
)
async def test_what_does_not_fit_is_truncated_over_udp(
    world: World, size: int, edns: bool, truncated: bool
) -> None:
    world.dns.add("d.test", "TXT", [b"x" * 200] * (size // 200))
    answer = await ask(world, "d.test", "TXT", edns=edns)
    assert bool(answer.flags & dns.flags.TC) == truncated
    assert bool(answer.answer) != truncated


async def test_a_resolver_gets_a_large_answer_over_tcp(world: World) -> None:
    world.dns.add("d.test", "TXT", [b"x" * 200] * 100)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [world.dns.address[0]], world.dns.address[1]
    answer = await resolver.resolve("d.test.", "TXT", search=False)
    assert len(answer[0].strings) == 100
    assert world.dns.queries == [("d.test", "TXT")] * 2
    assert world.dns.tcp_queries == [("d.test", "TXT")]


async def test_nonsense_is_not_answered_and_harms_nobody(world: World) -> None:
    assert world.dns.reply(b"\x00", tcp=False) is None
    assert world.dns.reply(b"\x00" * 12, tcp=False) is None
    assert world.dns.queries == []


def _a(name: str) -> tuple[dns.name.Name, dns.rdataclass.RdataClass, dns.rdatatype.RdataType]:
    return dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.A
