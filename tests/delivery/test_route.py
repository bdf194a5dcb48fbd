"""Which hosts take mail for a domain, asked of a real DNS server."""

import random
from collections import Counter
from typing import cast

import pytest

from relay.delivery.blame import Blame
from relay.delivery.next_hop import NextHop
from relay.delivery.own import OwnAddresses
from relay.delivery.route import Route, Router
from relay.lab.dns import Fault
from relay.lab.world import World
from relay.outcome import Reason
from relay.resolver import Answer, DnsResolver, DnsStatus, MxRecord, Resolver

from .conftest import LOOPBACK, SetClock

OWN = OwnAddresses("Relay.Lab.Test", (("127.0.9.9", 2525), ("0.0.0.0", 2526)))  # noqa: S104


def router(world: World, *, port: int = 2525, seed: int = 1, allow: bool = True) -> Router:
    return Router(
        DnsResolver([world.dns.address], 2.0, SetClock()),
        own=OWN,
        port=port,
        allow_internal=LOOPBACK if allow else (),
        dice=random.Random(seed),  # noqa: S311 - order of hosts
    )


async def find(finder: Router, domain: str | NextHop) -> Route | Blame:
    next_hop = NextHop(domain) if isinstance(domain, str) else domain
    records = await finder.find_hosts(next_hop)
    return records if isinstance(records, Blame) else await finder.locate(next_hop, records)


def hosts(route: Route | Blame) -> list[tuple[str, tuple[str, ...]]]:
    assert isinstance(route, Route), route
    return [(host.name, host.addresses) for host in route.hosts]


def zone(world: World, *lines: str) -> None:
    for line in lines:
        name, kind, data = line.split(" ", 2)
        world.dns.add(name, kind, data)


A_TO_C = ("a.test A 127.0.0.5", "b.test A 127.0.0.6", "c.test A 127.0.0.7")

ROUTES = [
    pytest.param(
        ("d.test MX 20 b.test.", "d.test MX 10 a.test.", *A_TO_C), ["a.test", "b.test"], id="SND-04"
    ),
    pytest.param(("d.test A 127.0.0.5",), ["d.test"], id="SND-02 STS-82 implicit MX"),
    pytest.param(
        ("d.test MX 10 a.test.", "d.test A 127.0.0.9", *A_TO_C), ["a.test"], id="SND-02 MX counts"
    ),
    pytest.param(
        ("d.test CNAME e.test.", "e.test MX 10 a.test.", *A_TO_C), ["a.test"], id="SND-01 CNAME"
    ),
    pytest.param(
        ("d.test MX 10 x.test.", "x.test CNAME a.test.", *A_TO_C), ["x.test"],
        id="SND-07 STS-80 the record's name",
    ),
    pytest.param(
        ("d.test MX 0 .", "d.test MX 10 a.test.", *A_TO_C), ["a.test"], id="EXT-29 . beside others"
    ),
    pytest.param(
        ("d.test MX 10 a.test.", "d.test MX 20 A.test.", "d.test MX 15 b.test.", *A_TO_C),
        ["a.test", "b.test"], id="a host listed twice",
    ),
    pytest.param(
        ("d.test MX 10 a.test.", "d.test MX 20 relay.lab.test.", "d.test MX 20 b.test.",
         "d.test MX 30 c.test.", *A_TO_C),
        ["a.test"], id="SND-06 own name",
    ),
    pytest.param(
        ("d.test MX 10 a.test.", "d.test MX 20 x.test.", "x.test A 127.0.9.9", *A_TO_C),
        ["a.test"], id="SND-06 own address",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "names"), ROUTES)
async def test_route(world: World, lines: tuple[str, ...], names: list[str]) -> None:
    zone(world, *lines)
    assert [name for name, _ in hosts(await find(router(world), "d.test"))] == names


FAULTS = [
    pytest.param((), 550, "5.1.2", "does not exist", id="EXT-26 NXDOMAIN"),
    pytest.param(("d.test MX 0 .", "d.test A 127.0.0.5"), 556, "5.1.10", "null MX", id="EXT-27"),
    pytest.param(("d.test TXT x",), 550, "5.4.4", "neither", id="EXT-26 no MX, no address"),
    pytest.param(("d.test MX 10 relay.lab.test.",), 554, "5.4.6", "loops", id="SND-06 none left"),
    pytest.param(("d.test MX 9 x.test.", "x.test A 127.0.9.9"), 554, "5.4.6", "loops", id="SND-06"),
]


@pytest.mark.parametrize(("lines", "code", "status", "words"), FAULTS)
async def test_fault(
    world: World, lines: tuple[str, ...], code: int, status: str, words: str
) -> None:
    zone(world, *lines)
    fault = await find(router(world), "d.test")
    assert isinstance(fault, Blame)
    assert (fault.reason, fault.reply.code, fault.reply.enhanced) == (Reason.DNS, code, status)
    assert words in fault.reply.text


@pytest.mark.parametrize("trouble", ["SERVFAIL", "REFUSED"])
async def test_mx_trouble(world: World, trouble: Fault) -> None:
    """SND-01, EXT-26: try again, and never at the domain's own address."""
    zone(world, "d.test A 127.0.0.5")
    world.dns.fail("d.test", "MX", trouble)
    fault = await find(router(world), "d.test")
    assert isinstance(fault, Blame)
    assert (fault.reply.code, fault.reply.enhanced) == (451, "4.4.3")


async def test_missing_mx_target(world: World) -> None:
    """SND-03: no fall-back to the domain's address; the zone may be repaired."""
    zone(world, "d.test MX 10 gone.test.", "d.test A 127.0.0.5")
    route = await find(router(world), "d.test")
    assert isinstance(route, Route)
    (host,) = route.hosts
    assert host.addresses == ()
    assert host.trouble
    assert (host.trouble.reply.code, host.trouble.reply.enhanced) == (451, "4.4.4")


async def test_trouble_of_one_host(world: World) -> None:
    zone(world, "d.test MX 10 a.test.", "d.test MX 20 b.test.", *A_TO_C)
    world.dns.fail("a.test", "A", "SERVFAIL")
    world.dns.fail("a.test", "AAAA", "SERVFAIL")
    route = await find(router(world), "d.test")
    assert hosts(route) == [("a.test", ()), ("b.test", ("127.0.0.6",))]
    assert isinstance(route, Route)
    assert route.hosts[0].trouble
    assert route.hosts[0].trouble.reply.enhanced == "4.4.3"


async def test_equal_preferences_are_shuffled(world: World) -> None:
    """SND-04: about half each, and the order of preferences never violated."""
    zone(world, "d.test MX 10 a.test.", "d.test MX 10 b.test.", "d.test MX 20 c.test.", *A_TO_C)
    finder = router(world)
    orders = Counter[tuple[str, ...]]()
    for _ in range(200):
        records = await finder.find_hosts(NextHop("d.test"))
        assert not isinstance(records, Blame)
        orders[tuple(record.host for record in records)] += 1
    assert orders.keys() == {("a.test", "b.test", "c.test"), ("b.test", "a.test", "c.test")}
    assert min(orders.values()) > 60


class Answers:
    """A resolver that gives what it is told to, each time the same object."""

    def __init__(self) -> None:
        self.hosts = Answer(DnsStatus.FOUND, (MxRecord(10, "a.test"),))
        self.known = {"a.test": Answer(DnsStatus.FOUND, ("127.0.0.5",))}

    async def mx(self, name: str) -> Answer[MxRecord]:
        return self.hosts

    async def addresses(self, name: str) -> Answer[str]:
        return self.known[name]


class TestARouteIsKept:
    """As long as DNS says the same, and a minute at most."""

    @pytest.fixture
    def answers(self) -> Answers:
        return Answers()

    @pytest.fixture
    def finder(self, answers: Answers) -> Router:
        dice = random.Random(1)  # noqa: S311 - order of hosts
        own = OwnAddresses("relay.test")
        given = cast(Resolver, answers)
        return Router(given, own=own, port=2525, allow_internal=LOOPBACK, dice=dice)

    async def test_while_nothing_changes(self, finder: Router) -> None:
        assert await find(finder, "d.test") is await find(finder, "d.test")

    async def test_not_when_an_address_changes(self, finder: Router, answers: Answers) -> None:
        await find(finder, "d.test")
        answers.known["a.test"] = Answer(DnsStatus.FOUND, ("127.0.0.6",))
        assert hosts(await find(finder, "d.test")) == [("a.test", ("127.0.0.6",))]

    async def test_not_when_a_host_changes(self, finder: Router, answers: Answers) -> None:
        await find(finder, "d.test")
        answers.known["b.test"] = answers.known["a.test"]
        answers.hosts = Answer(DnsStatus.FOUND, (MxRecord(10, "b.test"),))
        assert hosts(await find(finder, "d.test")) == [("b.test", ("127.0.0.5",))]

    async def test_not_for_another_domain(self, finder: Router) -> None:
        assert await find(finder, "d.test") is not await find(finder, "e.test")

    @pytest.mark.parametrize("first", [25, 2525])
    async def test_not_for_another_port(self, finder: Router, first: int) -> None:
        """SND-06: where one port is our own listener's, the other is not."""
        finder._own = OwnAddresses("relay.test", (("127.0.0.5", 2525),))
        for port in (first, 2550 - first):
            route = await find(finder, NextHop("d.test", port=port))
            assert isinstance(route, Blame if port == 2525 else Route)

    async def test_not_for_long(self, finder: Router, monkeypatch: pytest.MonkeyPatch) -> None:
        """Our own addresses may have become others."""
        monkeypatch.setattr(finder._lately, "_span", 0.0)
        assert await find(finder, "d.test") is not await find(finder, "d.test")

    async def test_not_without_end(self, finder: Router, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("relay.delivery.memory._LIMIT", 10)
        for number in range(25):
            await find(finder, f"d{number}.test")
            assert len(finder._lately._seen) <= 10


async def test_bounds(world: World) -> None:
    """At most 20 hosts and 10 addresses each."""
    for number in range(25):
        zone(world, f"d.test MX {number} h{number}.test.", f"h{number}.test A 127.0.3.1")
    for number in range(2, 14):
        zone(world, f"h0.test A 127.0.3.{number}")
    found = hosts(await find(router(world), "d.test"))
    assert [name for name, _ in found] == [f"h{number}.test" for number in range(20)]
    assert len(found[0][1]) == 10


class TestInternal:
    async def test_refused(self, world: World) -> None:
        zone(world, "d.test MX 10 a.test.", *A_TO_C)
        route = await find(router(world, allow=False), "d.test")
        assert isinstance(route, Route)
        (host,) = route.hosts
        assert host.trouble
        assert host.trouble.reason is Reason.UNREACHABLE
        assert (host.trouble.reply.code, host.trouble.reply.enhanced) == (451, "4.4.4")
        assert "delivery.allow_internal" in host.trouble.reply.text
        assert "127.0.0.5" in host.trouble.reply.text

    async def test_public_address_is_kept(self, world: World) -> None:
        zone(world, "d.test MX 10 a.test.", "a.test A 10.0.0.1", "a.test A 203.0.114.1")
        route = await find(router(world, allow=False), "d.test")
        assert hosts(route) == [("a.test", ("203.0.114.1",))]

    async def test_a_loop_outweighs_it(self, world: World) -> None:
        zone(world, "d.test MX 10 x.test.", "x.test A 127.0.9.9")
        fault = await find(router(world, allow=False), "d.test")
        assert isinstance(fault, Blame)
        assert fault.reply.enhanced == "5.4.6"


class TestLiteral:
    async def test_address(self, world: World) -> None:
        assert hosts(router(world).reach(NextHop("[127.0.0.5]"))) == [("127.0.0.5", ("127.0.0.5",))]
        assert hosts(router(world).reach(NextHop("[IPv6:::1]"))) == [("::1", ("::1",))]
        assert world.dns.queries == []

    async def test_own(self, world: World) -> None:
        fault = router(world).reach(NextHop("[127.0.9.9]"))
        assert isinstance(fault, Blame)
        assert fault.reply.enhanced == "5.4.6"


@pytest.mark.parametrize(
    ("address", "port", "own"),
    [
        pytest.param("127.0.9.9", 2525, True, id="a listener"),
        pytest.param("127.0.9.9", 25, False, id="another port"),
        pytest.param("127.0.9.8", 2525, False, id="another address"),
        pytest.param("127.0.0.1", 2526, True, id="a wildcard means every local address"),
        pytest.param("192.0.2.1", 2526, False, id="a wildcard means no foreign address"),
        pytest.param("::1", 2526, False, id="a wildcard of the other family"),
    ],
)
def test_own_address(address: str, port: int, own: bool) -> None:
    """SND-06."""
    assert OWN.has_address(address, port) is own


def test_listener_by_name() -> None:
    own = OwnAddresses("relay.test", (("localhost", 25), ("other.test", 25)))
    assert own.has_address("127.0.0.1", 25)
    assert not own.has_address("192.0.2.1", 25)


class TestNextHopOfARoute:
    """STS-14: hosts that the operator has named."""

    async def test_a_host_itself(self, world: World) -> None:
        zone(world, "a.test MX 10 b.test.", *A_TO_C)
        assert hosts(await find(router(world), NextHop("a.test", by_mx=False))) == [
            ("a.test", ("127.0.0.5",))
        ]
        assert {kind for _, kind in world.dns.queries} == {"A", "AAAA"}

    async def test_a_host_without_an_address(self, world: World) -> None:
        route = await find(router(world), NextHop("a.test", by_mx=False))
        assert isinstance(route, Route)
        assert route.hosts[0].trouble
        assert route.hosts[0].trouble.reply.enhanced == "4.4.4"

    async def test_own_port_counts(self, world: World) -> None:
        """SND-06: another program on the same machine is no loop."""
        zone(world, "a.test A 127.0.9.9")
        beside = NextHop("a.test", 10025, by_mx=False, route="route[0]")
        assert hosts(await find(router(world), beside)) == [("a.test", ("127.0.9.9",))]
        again = NextHop("a.test", 2525, by_mx=False, route="route[0]")
        fault = await find(router(world, port=25), again)
        assert isinstance(fault, Blame)
        assert fault.reply.enhanced == "5.4.6"

    async def test_an_address_the_operator_wrote_is_trusted(self, world: World) -> None:
        finder = router(world, allow=False)
        written = NextHop("[127.0.0.5]", by_mx=False, route="route[0]")
        assert hosts(finder.reach(written)) == [("127.0.0.5", ("127.0.0.5",))]
        mailed = finder.reach(NextHop("[127.0.0.5]"))
        assert isinstance(mailed, Route)
        assert mailed.hosts[0].trouble

    async def test_an_address_from_dns_is_not(self, world: World) -> None:
        zone(world, *A_TO_C)
        named = NextHop("a.test", by_mx=False, route="route[0]")
        route = await find(router(world, allow=False), named)
        assert isinstance(route, Route)
        assert route.hosts[0].trouble
        assert "delivery.allow_internal" in route.hosts[0].trouble.reply.text


@pytest.mark.parametrize(
    ("six", "four", "order"),
    [
        pytest.param(3, 2, "64646", id="more of IPv6"),
        pytest.param(0, 2, "44", id="IPv4 alone"),
        pytest.param(2, 0, "66", id="IPv6 alone"),
        pytest.param(20, 1, "64" + "6" * 8, id="a limit, and none is pushed out"),
    ],
)
async def test_the_families_take_turns(world: World, six: int, four: int, order: str) -> None:
    """SND-05: a dead family costs one attempt, however many addresses it has."""
    world.dns.add("d.test", "AAAA", *(f"2606:4700::{number:x}" for number in range(1, six + 1)))
    world.dns.add("d.test", "A", *(f"8.8.8.{number}" for number in range(1, four + 1)))
    found = await find(router(world), "d.test")
    ((_, addresses),) = hosts(found)
    assert "".join("6" if ":" in one else "4" for one in addresses) == order
