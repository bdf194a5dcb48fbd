"""One attempt to deliver a message to a domain: plan, act, result. Knows no queue."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from random import Random

from relay.address import Network
from relay.clock import Clock
from relay.delivery.attempt import Attempt
from relay.delivery.auth import as_ours_to_mend
from relay.delivery.blame import Blame, outcome_of
from relay.delivery.caller import Caller, Sources, Timeouts
from relay.delivery.contexts import TlsContexts
from relay.delivery.dead import DeadHosts
from relay.delivery.hop import (
    Declined,
    Exchange,
    Hop,
    HopReport,
    Host,
    Lapsed,
    Unprotected,
    Unreachable,
    Waived,
)
from relay.delivery.memory import AddressMemory, FlawMemory, Recent
from relay.delivery.next_hop import NextHop
from relay.delivery.own import OwnAddresses
from relay.delivery.plan import FindPolicy, Planner
from relay.delivery.pool import Pool, SessionKey
from relay.delivery.route import Router
from relay.delivery.scout import Scout
from relay.delivery.session import Session
from relay.delivery.terms import Rules
from relay.delivery.tickets import Tickets
from relay.delivery.transaction import Content, content_of
from relay.envelope import Envelope
from relay.immutable import immutable
from relay.outcome import DeliveryResult
from relay.pace import Bound, FindBound, Pace
from relay.reply import Reply
from relay.resolver import Resolver

_LONGEST_TURN = 30.0  # seconds a delivery waits for the rate of a host


@immutable
class DeliverySettings:
    """What the operator decides about delivery. Times in seconds.

    `ca_file` None: the system's roots. `own` is how the relay knows itself among MX hosts. `routes`
    are the next hops by domain pattern, `host_bound` says how much a host is burdened with.
    """

    hostname: str
    own: OwnAddresses
    routes: Mapping[str, NextHop] = field(default_factory=dict)
    port: int = 25
    allow_internal: tuple[Network, ...] = ()
    idle_timeout: float = 10.0
    host_bound: FindBound = lambda _: Bound(20)
    ca_file: Path | None = None
    sources: Sources = field(default_factory=Sources)
    tls: Rules = field(default_factory=Rules)
    timeouts: Timeouts = field(default_factory=Timeouts)


def build_planner(
    settings: DeliverySettings, resolver: Resolver, find_policy: FindPolicy, dice: Random
) -> Planner:
    """What plans deliveries; `dice` shuffles hosts of equal preference."""
    router = Router(
        resolver,
        own=settings.own,
        port=settings.port,
        allow_internal=settings.allow_internal,
        dice=dice,
    )
    return Planner(router, find_policy, settings.routes)


def build_caller(settings: DeliverySettings) -> Caller:
    """How hosts are called. Raises OSError where `ca_file` cannot be used."""
    contexts = TlsContexts(settings.ca_file)
    return Caller(
        settings.hostname, settings.port, contexts, settings.timeouts, sources=settings.sources
    )


@immutable
class _Load:
    """What an attempt carries from host to host."""

    envelope: Envelope
    content: Content
    since: float


class Deliverer:
    """Delivers; keeps connections, TLS contexts and what hosts lately failed by for next time."""

    def __init__(
        self,
        settings: DeliverySettings,
        resolver: Resolver,
        find_policy: FindPolicy,
        clock: Clock,
        dice: Random,
    ) -> None:
        """Nothing is known of any host. Raises OSError where `ca_file` cannot be used."""
        self._settings = settings
        self._clock = clock
        self._planner = build_planner(settings, resolver, find_policy, dice)
        self._caller = build_caller(settings)
        self._tickets = Tickets(clock.now)
        self._pool = Pool(self._new_session, settings.idle_timeout, settings.host_bound)
        self._pace = Pace(settings.host_bound)
        self._memories: dict[tuple[int, str], FlawMemory] = {}  # by port and mode
        # refused again and again, an account is locked
        self._refusals = Recent[SessionKey, Declined]()
        self._silent = AddressMemory()
        self._dead = DeadHosts()

    async def deliver(
        self,
        domain: str,
        envelope: Envelope,
        body: bytes,
        since: float = math.inf,
        anew: bool = False,
    ) -> DeliveryResult:
        """Try every host once. `domain` is a Domain or an address literal, the one of all the
        envelope's recipients; `body` is not dot-stuffed. Every recipient gets an outcome.

        `since`: when the mail was taken on, by the loop's clock. Who could not be reached since
        then is not tried again; with `anew` MX and policy records are looked up since then, too.
        """
        plan = await self._planner.plan(domain, since if anew else None)
        findings = plan.found.findings if plan.found else ()
        if isinstance(plan.route, Blame):
            outcomes = [outcome_of(one, plan.route) for one in envelope.recipients]
            return DeliveryResult(tuple(outcomes), findings, anew=anew)
        terms, now = plan.terms(self._settings.tls), self._clock.now()
        attempt = Attempt(terms, self._ordered(plan.hosts, now), envelope.recipients, now)
        load = _Load(envelope, content_of(body), since)
        await self._act(attempt, plan.next_hop, terms.mode, load)
        one = attempt.final()
        return DeliveryResult(one.outcomes, (*findings, *one.findings), one.handovers, anew)

    def scout(self) -> Scout:
        """Who looks ahead for mail as it would be delivered here."""
        return Scout(self._planner, self._caller, self._settings.tls, self._clock)

    async def aclose(self) -> None:
        """Say QUIT on every idle connection; deliveries must have ended."""
        await self._pool.aclose()

    def _ordered(self, hosts: Iterable[Host], now: float) -> list[Host]:
        return [self._with_silent_last(host, now) for host in hosts]

    def _with_silent_last(self, host: Host, now: float) -> Host:
        if len(host.addresses) < 2:
            return host
        return replace(host, addresses=self._silent.ordered(host.addresses, now))

    async def _act(self, attempt: Attempt, next_hop: NextHop, mode: str, load: _Load) -> None:
        port = next_hop.port or self._settings.port
        while hop := attempt.next_hop():
            place = (hop.host, hop.address, port, hop.level)
            key = SessionKey(*place, mode, next_hop.identity, hop.waived_for)
            report = await self._visit(hop, key, load)
            if next_hop.route:
                report = as_ours_to_mend(report)
            attempt.feed(report, self._clock.now())

    async def _visit(self, hop: Hop, key: SessionKey, load: _Load) -> HopReport:
        memory = self._memory(key)
        if flaw := memory.recall(hop, self._clock.now()):
            return Unprotected(flaw)
        if refusal := self._refusals.recall(key, self._clock.now()):
            return refusal
        place = (key.address, key.port, hop.hurried)
        report = await self._dead.visit(place, load.since, partial(self._call, hop, key, load))
        if isinstance(report, Unreachable):
            self._silent.keep(hop.address, self._clock.now())
        if isinstance(report, Unprotected):
            memory.keep(hop, report.flaw, self._clock.now())
        if isinstance(report, Declined) and report.login:
            self._refusals.keep(key, report, self._clock.now())
        return report

    async def _call(self, hop: Hop, key: SessionKey, load: _Load) -> HopReport:
        if refusal := await self._wait_for_turn(hop.host):
            return refusal
        async with self._pool.session(key, hop.least) as session:
            kept = session.is_ready
            report = await self._offer(session, hop, load)
        if kept and _is_silent(report):
            # the kept connection had died unnoticed: a fresh one decides
            async with self._pool.session(key, hop.least, fresh=True) as session:
                report = await self._offer(session, replace(hop, hurried=False), load)
        return report

    async def _offer(self, session: Session, hop: Hop, load: _Load) -> HopReport:
        if hop.waived and (setback := await self._come_up(session, hop, hop.waived, load)):
            return setback
        mail = (load.envelope, hop.recipients, load.content)
        return await session.deliver(*mail, hurried=hop.hurried)

    # The turn may have been long in coming, and a host may stretch all that comes before MAIL
    async def _come_up(
        self, session: Session, hop: Hop, waived: Waived, load: _Load
    ) -> HopReport | None:
        if self._clock.now() < waived.until:
            report = await session.probe(load.envelope, hurried=hop.hurried)
            if not isinstance(report, Exchange) or report.lost:
                return report
        return Lapsed(waived.flaw) if self._clock.now() >= waived.until else None

    def _memory(self, key: SessionKey) -> FlawMemory:
        under = (key.port, key.mode)
        if under not in self._memories:
            self._memories[under] = FlawMemory(key.mode)
        return self._memories[under]

    # Messages for one host are spaced; who would have to wait too long comes again another time
    async def _wait_for_turn(self, host: str) -> Declined | None:
        now = asyncio.get_running_loop().time()
        delay = self._pace.delay(host, now)
        if delay > _LONGEST_TURN:
            text = f"{host} gets mail only at the rate of our own limit"
            return Declined(Reply(451, "4.4.5", text), remote=False)
        self._pace.take(host, now)
        if delay:
            await asyncio.sleep(delay)
        return None

    def _new_session(self, key: SessionKey) -> Session:
        caller = replace(self._caller, port=key.port, identity=key.identity)
        return Session(key.host, key.address, key.level, caller, self._tickets.at(key))


def _is_silent(report: HopReport) -> bool:
    if not isinstance(report, Exchange) or report.in_doubt:
        return False
    return bool(report.lost) and not report.replies
