"""DNS look-ups as values, over real packets."""

import asyncio

import pytest

from relay.clock import SystemClock
from relay.lab.world import World
from relay.resolver import DnsResolver, DnsStatus, MxRecord


class SetClock:
    """The present, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.ahead


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def resolver(world: World, clock: SetClock) -> DnsResolver:
    return DnsResolver([world.dns.address], 1.0, clock)


async def test_mx_records_as_they_stand(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "MX", "20 B.d.test.", "10 a.d.test.")
    answer = await resolver.mx("D.test")
    assert answer.status is DnsStatus.FOUND
    assert set(answer.records) == {MxRecord(20, "b.d.test"), MxRecord(10, "a.d.test")}


async def test_ext_27_the_root_name_is_empty(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "MX", "0 .")
    assert (await resolver.mx("d.test")).records == (MxRecord(0, ""),)


async def test_sts_02_txt_keeps_its_strings(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "TXT", [b"v=STSv1; id=2024", b"0602;"], "other")
    answer = await resolver.txt("d.test")
    assert set(answer.records) == {(b"v=STSv1; id=2024", b"0602;"), (b"other",)}


async def test_sts_11_cnames_are_followed(world: World, resolver: DnsResolver) -> None:
    world.dns.add("_mta-sts.user.test", "CNAME", "_mta-sts.prov.test.")
    world.dns.add("_mta-sts.prov.test", "TXT", "v=STSv1; id=1;")
    answer = await resolver.txt("_mta-sts.user.test")
    assert answer.records == ((b"v=STSv1; id=1;",),)
    assert answer.canonical == "_mta-sts.prov.test"


async def test_both_families_six_first(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "A", "192.0.2.1")
    world.dns.add("d.test", "AAAA", "2001:db8::1")
    assert (await resolver.addresses("d.test")).records == ("2001:db8::1", "192.0.2.1")


async def test_one_family_in_trouble_leaves_the_other(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "A", "192.0.2.1")
    world.dns.fail("d.test", "AAAA", "SERVFAIL")
    assert (await resolver.addresses("d.test")).records == ("192.0.2.1",)


@pytest.mark.parametrize("fault", ["SERVFAIL", "REFUSED", "TIMEOUT", "GARBAGE"])
async def test_sts_17_trouble_is_a_value_and_not_kept(
    world: World, resolver: DnsResolver, fault: str
) -> None:
    world.dns.add("d.test", "TXT", "x")
    world.dns.fail("d.test", "TXT", fault)  # type: ignore[arg-type]
    answer = await resolver.txt("d.test")
    assert answer.status is DnsStatus.TROUBLE
    assert answer.detail
    world.dns.restore("d.test", "TXT")
    assert (await resolver.txt("d.test")).status is DnsStatus.FOUND


async def test_absence_has_two_kinds(world: World, resolver: DnsResolver) -> None:
    world.dns.add("a.d.test", "A", "192.0.2.1")
    assert (await resolver.txt("a.d.test")).status is DnsStatus.NODATA
    assert (await resolver.txt("d.test")).status is DnsStatus.NODATA
    assert (await resolver.txt("none.test")).status is DnsStatus.NXDOMAIN


async def test_answers_live_as_long_as_their_ttl(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    world.dns.add("d.test", "TXT", "x", ttl=300)
    question = ("d.test", "TXT")
    for ahead, asked in ((0, 1), (299, 1), (301, 2)):
        clock.ahead = ahead
        await resolver.txt("d.test")
        assert world.dns.queries.count(question) == asked


@pytest.mark.parametrize(("octets", "questions"), [(4_000, 1), (40_000, 2)])
async def test_what_is_huge_is_not_kept(
    world: World, resolver: DnsResolver, octets: int, questions: int
) -> None:
    world.dns.add("d.test", "TXT", [b"x" * 250] * (octets // 250))
    for _ in range(2):
        (strings,) = (await resolver.txt("d.test")).records
        assert sum(map(len, strings)) == octets
    # a truncated answer has each question asked twice, by UDP and TCP
    assert world.dns.tcp_queries.count(("d.test", "TXT")) == questions


async def test_sts_64_what_was_answered_before_a_moment_is_asked_again(
    world: World, resolver: DnsResolver
) -> None:
    world.dns.add("d.test", "MX", "10 a.test.")
    await resolver.mx("d.test")
    world.dns.replace("d.test", "MX", "10 b.test.")
    assert (await resolver.mx("d.test")).records == (MxRecord(10, "a.test"),)
    await asyncio.sleep(0.002)  # uvloop's clock counts milliseconds
    moment = asyncio.get_running_loop().time()
    for asker in (resolver.since(moment), resolver.since(moment), resolver):
        assert (await asker.mx("d.test")).records == (MxRecord(10, "b.test"),)
    assert world.dns.queries == [("d.test", "MX")] * 2


async def test_both_families_are_one_answer_while_both_last(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    world.dns.add("a.test", "A", "192.0.2.1", ttl=300)
    world.dns.add("a.test", "AAAA", "2001:db8::1", ttl=100)
    first = await resolver.addresses("a.test")
    assert await resolver.addresses("a.test") is first
    clock.ahead = 101
    assert await resolver.addresses("a.test") is not first
    asked = [world.dns.queries.count(("a.test", kind)) for kind in ("A", "AAAA")]
    assert asked == [1, 2]


async def test_a_family_that_is_absent_is_asked_for_again_in_its_time(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    world.dns.add("a.test", "A", "192.0.2.1", ttl=300)
    assert (await resolver.addresses("a.test")).records == ("192.0.2.1",)
    world.dns.add("a.test", "AAAA", "2001:db8::1")
    clock.ahead = 61  # the negative answer's SOA says 60
    assert (await resolver.addresses("a.test")).records == ("2001:db8::1", "192.0.2.1")


async def test_sts_64_addresses_of_before_a_moment_are_asked_again(
    world: World, resolver: DnsResolver
) -> None:
    """However late both families became one answer."""
    world.dns.add("a.test", "A", "192.0.2.1")
    await resolver.addresses("a.test")
    await asyncio.sleep(0.002)  # uvloop's clock counts milliseconds
    moment = asyncio.get_running_loop().time()
    world.dns.replace("a.test", "A", "192.0.2.2")
    assert (await resolver.addresses("a.test")).records == ("192.0.2.1",)
    assert (await resolver.since(moment).addresses("a.test")).records == ("192.0.2.2",)
    assert (await resolver.addresses("a.test")).records == ("192.0.2.2",)


async def test_sts_64_an_answer_is_as_old_as_its_older_half(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    world.dns.add("a.test", "A", "192.0.2.1", ttl=300)
    world.dns.add("a.test", "AAAA", "2001:db8::1", ttl=100)
    await resolver.addresses("a.test")
    await asyncio.sleep(0.002)  # uvloop's clock counts milliseconds
    moment = asyncio.get_running_loop().time()
    clock.ahead = 101
    await resolver.addresses("a.test")
    await resolver.since(moment).addresses("a.test")
    asked = [world.dns.queries.count(("a.test", kind)) for kind in ("A", "AAAA")]
    assert asked == [2, 2], "the A record was asked for before that moment"


async def test_huge_addresses_are_not_kept_beside_older_ones(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    world.dns.add("a.test", "A", "192.0.2.1", ttl=100)
    await resolver.addresses("a.test")
    world.dns.replace(
        "a.test",
        "A",
        *(f"192.0.{n}.1" for n in range(200)),
        *(f"198.18.{n}.{m}" for n in range(10) for m in range(100)),
    )
    clock.ahead = 101
    await resolver.addresses("a.test")
    assert all(len(repr(kept.records)) < 8192 for kept, _ in resolver._cache.values())


async def test_ttl_0_is_not_kept(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "TXT", "x", ttl=0)
    await resolver.txt("d.test")
    await resolver.txt("d.test")
    assert world.dns.queries.count(("d.test", "TXT")) == 2


async def test_rfc_2308_a_negative_answer_lives_as_long_as_its_soa(
    world: World, resolver: DnsResolver, clock: SetClock
) -> None:
    for ahead, asked in ((0, 1), (59, 1), (61, 2)):
        clock.ahead = ahead
        assert (await resolver.txt("none.test")).status is DnsStatus.NXDOMAIN
        assert world.dns.queries.count(("none.test", "TXT")) == asked


async def test_equal_questions_at_once_are_asked_once(world: World, resolver: DnsResolver) -> None:
    world.dns.add("d.test", "TXT", "x")
    answers = await asyncio.gather(*(resolver.txt("d.test") for _ in range(50)))
    assert {answer.status for answer in answers} == {DnsStatus.FOUND}
    assert world.dns.queries.count(("d.test", "TXT")) == 1


async def test_a_name_that_cannot_be_asked_for_is_trouble(resolver: DnsResolver) -> None:
    for name in ("a" * 64 + ".test", "..", "x" * 300):
        assert (await resolver.txt(name)).status is DnsStatus.TROUBLE
