"""Live look-ups behind `relay policy`: the policy, its record, and the MX hosts there are now."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from relay.address import Domain
from relay.bookkeeping import record_now
from relay.cli.policy_text import View
from relay.clock import SystemClock
from relay.config import Settings
from relay.db.ledger import Ledger
from relay.db.policies import PolicyTable
from relay.delivery.blame import Blame
from relay.delivery.next_hop import NextHop
from relay.delivery.own import OwnAddresses
from relay.delivery.route import Router
from relay.immutable import immutable
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.found import Found
from relay.mta_sts.lint import Setup, lint
from relay.mta_sts.policy import PolicyResult
from relay.resolver import MxRecord, Resolver
from relay.storage import LEDGER, POLICIES
from relay.wiring import build_finder, build_resolver


@immutable
class LookUps:
    """Look-ups asked for by a person, through the relay's own cache; what goes wrong is recorded.

    Each raises StorageError.
    """

    settings: Settings
    resolver: Resolver
    policies: PolicyTable
    finder: PolicyFinder

    async def find(
        self, domain: Domain, *, refresh: bool = False, since: float | None = None
    ) -> Found:
        """The policy of a domain now."""
        return await self._recorded(await self.finder.find(domain, refresh=refresh, since=since))

    async def find_all(
        self, domains: Iterable[Domain], *, refresh: bool, at_once: int
    ) -> AsyncIterator[tuple[Domain, PolicyResult]]:
        """The policies of many domains as they are found, `at_once` under way at a time."""
        finding = self.finder.find_all(domains, refresh=refresh, at_once=at_once)
        async for domain, found in finding:
            yield domain, (await self._recorded(found)).result

    async def _recorded(self, found: Found) -> Found:
        if found.findings:
            ledger = Ledger(self.settings.storage_directory / LEDGER)
            try:
                await record_now(self.settings, ledger, found.findings)
            finally:
                ledger.close()
        return found


@asynccontextmanager
async def look_ups(settings: Settings) -> AsyncIterator[LookUps]:
    """Look-ups on the storage of the configuration. Raises StorageError."""
    clock = SystemClock()
    resolver = build_resolver(settings, clock)
    policies = PolicyTable(settings.storage_directory / POLICIES, check=False)
    try:
        finder = build_finder(settings, resolver, policies, clock, "command")
        yield LookUps(settings, resolver, policies, finder)
    finally:
        policies.close()


@immutable
class Question:
    """What is asked of a next hop that is no address: `closely` asks for its hosts and what is
    sloppy, too."""

    hop: NextHop
    refresh: bool = False
    closely: bool = False

    @property
    def domain(self) -> Domain:
        """The policy domain."""
        return Domain(self.hop.destination)


def view_online(settings: Settings, question: Question) -> View:
    """Look a next hop's policy up now. Raises StorageError."""
    return asyncio.run(_view(settings, question))


async def _view(settings: Settings, question: Question) -> View:
    domain = question.domain
    async with look_ups(settings) as desk:
        found = await desk.find(domain, refresh=question.refresh)
        view = View(domain, found.result, desk.policies.load(domain))
        return await _look_closely(view, found.body, question, desk) if question.closely else view


# What is said of the policy file is said of the one just served, though another one hold
async def _look_closely(view: View, body: bytes | None, question: Question, desk: LookUps) -> View:
    domain = question.domain
    record = await desk.resolver.txt(f"_mta-sts.{domain}")
    hosts = await _find_hosts(desk, question)
    names = [] if isinstance(hosts, Blame) else [one.host for one in hosts]
    policy = view.result.policy
    setup = Setup(
        domain,
        record.records,
        view.cached.text.encode() if body is None and view.cached and policy.version else body,
        policy,
        names,
        await _aliases(desk.resolver, domain, names, has_record=bool(record.records)),
    )
    shown = hosts.reply.text if isinstance(hosts, Blame) else _ranked(hosts)
    return replace(view, hosts=shown, remarks=lint(setup))


async def _find_hosts(desk: LookUps, question: Question) -> tuple[MxRecord, ...] | Blame:
    router = Router(
        desk.resolver,
        own=OwnAddresses(desk.settings.hostname),
        port=desk.settings.delivery.port,
        allow_internal=desk.settings.delivery.allow_internal,
        dice=Random(),  # noqa: S311 - the order shown is by name
    )
    return await router.find_hosts(question.hop)


def _ranked(hosts: Sequence[MxRecord]) -> list[tuple[int, str]]:
    return sorted((one.preference, one.host) for one in hosts)


# RFC 8461 §8.2: what is delegated, and hosts that must not be aliases
async def _aliases(
    resolver: Resolver, domain: Domain, hosts: Sequence[str], *, has_record: bool
) -> dict[str, str]:
    record, policy_host = f"_mta-sts.{domain}", f"mta-sts.{domain}"
    names = [*([policy_host] if has_record else []), *hosts]
    answers = await asyncio.gather(*(resolver.addresses(name) for name in names))
    found = {name: answer.canonical for name, answer in zip(names, answers, strict=True)}
    found[record] = (await resolver.txt(record)).canonical
    found[domain] = (await resolver.mx(domain)).canonical
    return {name: target for name, target in found.items() if target not in ("", name)}
