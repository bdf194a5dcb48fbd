"""What policies cost: warm look-ups, a million on disk, ten thousand domains at once.

Small by default, and then only the counts are of interest; `BENCH=full pytest -s tests/bench` takes
some minutes and prints the figures of docs/performance.md.
"""

import asyncio
import os
import random
import resource
import time
from collections import Counter
from pathlib import Path

from relay.address import Domain
from relay.clock import SystemClock
from relay.db import policies as policies_module
from relay.db.policies import PolicyTable
from relay.lab.policy_host import Site
from relay.lab.world import World, policy_text
from relay.mta_sts import fetch as fetch_module
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import CachedPolicy, parse_policy
from relay.resolver import Answer, DnsResolver
from tests.mta_sts.finding import LOOPBACK

FULL = os.environ.get("BENCH") == "full"


def publish(world: World, count: int) -> list[Site]:
    """Policies of d0.test and so on, a hundred to a certificate."""
    sites = []
    for start in range(0, count, 100):
        domains = [f"d{number}.test" for number in range(start, min(start + 100, count))]
        certificate = world.ca.issue([f"mta-sts.{domain}" for domain in domains])
        for domain in domains:
            name, body = f"mta-sts.{domain}", policy_text("enforce", [f"mx.{domain}"]).encode()
            world.dns.add(f"_mta-sts.{domain}", "TXT", "v=STSv1; id=20260101;")
            world.dns.add(name, "A", "127.0.0.1")
            sites.append(Site(name, certificate, body))
    world.web.sites.update({site.name: site for site in sites})
    return sites


def domains_of(count: int) -> list[Domain]:
    return [Domain(f"d{number}.test") for number in range(count)]


class Busy:
    """How many are at something at the same time, at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


class WatchedResolver(DnsResolver):
    """Counts its open questions."""

    def __init__(self, world: World) -> None:
        super().__init__([world.dns.address], 30.0, SystemClock())
        self.busy = Busy()

    async def _ask(self, *question: object) -> Answer[object]:
        with self.busy:
            return await super()._ask(*question)  # type: ignore[arg-type]


class WatchedFetcher(PolicyFetcher):
    """Counts its open connections."""

    def __init__(self, world: World, resolver: DnsResolver) -> None:
        settings = FetchSettings(60.0, world.https_port, LOOPBACK, world.ca_file)
        super().__init__(resolver, settings)
        self.busy = Busy()

    async def _get(self, *request: object) -> bytes:
        with self.busy:
            return await super()._get(*request)  # type: ignore[arg-type]


async def test_warm_look_ups(world: World, tmp_path: Path) -> None:
    sites, domains = publish(world, 100), domains_of(100)
    table, resolver = PolicyTable(tmp_path / "policies.db"), WatchedResolver(world)
    finder = PolicyFinder(resolver, table, WatchedFetcher(world, resolver).fetch, SystemClock())
    for _ in range(2):
        for domain in domains:
            await finder.find(domain)
    hosts = [f"mx.{domain}" for domain in domains]
    rounds = 2000 if FULL else 20
    begun = time.process_time()
    for _ in range(rounds):
        for domain, host in zip(domains, hosts, strict=True):
            found = await finder.find(domain)
            assert validate_mx(host, found.policy).valid
    spent = (time.process_time() - begun) / (rounds * len(domains))
    print(f"\nwarm look-up and verdict: {spent * 1e6:.1f} us of CPU")
    assert {len(site.requests) for site in sites} == {1}
    assert world.dns.queries.count(("_mta-sts.d0.test", "TXT")) == 1
    table.close()


async def test_cold_look_ups_at_once(world: World, tmp_path: Path) -> None:
    count = 10_000 if FULL else 300
    sites, domains = publish(world, count), domains_of(count)
    table, resolver = PolicyTable(tmp_path / "policies.db"), WatchedResolver(world)
    fetcher = WatchedFetcher(world, resolver)
    finder = PolicyFinder(resolver, table, fetcher.fetch, SystemClock())
    begun, worked = time.perf_counter(), time.process_time()
    found = await asyncio.gather(*(finder.find(domain) for domain in domains * 2))
    took, worked = time.perf_counter() - begun, time.process_time() - worked
    print(
        f"\n{count} cold domains: {took:.1f} s, {worked / count * 1e3:.2f} ms of CPU each, with lab"
    )
    print(f"at once: {resolver.busy.most} questions, {fetcher.busy.most} connections at most")
    assert {one.result.status for one in found} == {"found"}
    assert {len(site.requests) for site in sites} == {1}
    asked = Counter(name for name, kind in world.dns.queries if kind == "TXT")
    assert asked == Counter({f"_mta-sts.{domain}": 1 for domain in domains})
    assert resolver.busy.most <= 100
    assert fetcher.busy.most <= fetch_module._AT_ONCE
    assert sum(1 for _ in table.all()) == count
    table.close()


def some_policy(number: int) -> CachedPolicy:
    """Policies with hosts of their own, as customers of many providers have them."""
    domain = Domain(f"customer{number}.example{number % 97}.com")
    text = policy_text("enforce", [f"mx1.{domain}", f"*.mail.{domain}"])
    record_id, at = f"20260901T{number % 1_000_000:06}", SystemClock().now() - number % 86_400
    return CachedPolicy(domain, record_id, parse_policy(text.encode()), text, at)


async def fill(table: PolicyTable, numbers: list[int]) -> None:
    for start in range(0, len(numbers), 5000):
        fresh = map(some_policy, numbers[start : start + 5000])
        await asyncio.gather(*(table.save(one, "delivery", one.fetched_at + 1) for one in fresh))


async def test_many_policies_on_disk(tmp_path: Path) -> None:
    count = 1_000_000 if FULL else 20_000
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)  # noqa: S311 - domains come in no order
    table = PolicyTable(tmp_path / "policies.db")
    begun = time.process_time()
    await fill(table, numbers)
    saved = (time.process_time() - begun) / count
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sample = [some_policy(number).domain for number in numbers[:50_000]]
    begun = time.process_time()
    assert all(table.load(domain) for domain in sample)
    loaded = (time.process_time() - begun) / len(sample)
    assert sum(1 for _ in table.all()) == count
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert len(table._memory) <= policies_module._REMEMBERED
    now = SystemClock().now()
    begun = time.process_time()
    assert len(await table.claim_due(now, 10, lambda _: now + 3600)) == 10
    claimed = time.process_time() - begun
    table.close()
    size = disk_use(tmp_path)
    print(f"\n{count} policies: {size / 1e6:.1f} MB, {size / count:.0f} bytes each")
    print(f"save {saved * 1e6:.0f} us, load from disk {loaded * 1e6:.0f} us of CPU")
    print(f"reading all: {grown:.1f} MB more memory; claiming ten due: {claimed * 1e3:.1f} ms")
    assert size < 200 * count


def disk_use(directory: Path) -> int:
    return sum(one.stat().st_size for one in directory.iterdir())
