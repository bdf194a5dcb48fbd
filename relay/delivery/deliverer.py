"""One attempt to deliver a message to a domain: plan, act, result. Knows no queue."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from relay.address import Domain, Network, destination_address
from relay.clock import Clock
from relay.delivery.attempt import Attempt, Flaw, Hop, HopReport, Host, Terms
from relay.delivery.pool import Pool, SessionKey
from relay.delivery.route import NoRoute, OwnAddresses, Route, Router
from relay.delivery.session import (
    HopError,
    Session,
    Timeouts,
    TlsContexts,
    open_session,
    to_wire,
)
from relay.delivery.tls import Floors, Level, ladder_for
from relay.envelope import Envelope
from relay.evidence import PolicySnapshot
from relay.mta_sts.finder import Found
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import Policy
from relay.outcome import DeliveryResult, Outcome, Status
from relay.reply import Severity
from relay.resolver import Resolver

_FLAW_MEMORY = 60.0  # seconds a failed level is not tried again where a lower one will do
_FLAW_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What the operator decides about delivery. Times in seconds.

    `ca_file` None: the system's roots. `own` is how the relay knows itself among MX hosts.
    """

    hostname: str
    own: OwnAddresses
    port: int = 25
    allow_internal: tuple[Network, ...] = ()
    idle_timeout: float = 10.0
    connections_per_host: int = 20
    ca_file: Path | None = None
    floors: Floors = field(default_factory=Floors)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """The policy side of the plan: the mode that holds, the policy, its snapshot for findings."""

    mode: str = "none"
    policy: Policy | None = None
    snapshot: PolicySnapshot | None = None


@dataclass(frozen=True, slots=True)
class _Content:
    """A message ready for the wire; `size` is before dot-stuffing."""

    wire: bytes
    size: int


class Deliverer:
    """Delivers; keeps connections and TLS contexts for the next time."""

    def __init__(
        self,
        settings: DeliverySettings,
        resolver: Resolver,
        find_policy: Callable[[Domain], Awaitable[Found]],
        clock: Clock,
        dice: Random,
    ) -> None:
        """`find_policy` gives the policy of a domain with what was found amiss."""
        self._settings = settings
        self._find_policy = find_policy
        self._clock = clock
        self._contexts = TlsContexts(settings.ca_file)
        self._pool = Pool(settings.idle_timeout, settings.connections_per_host)
        self._flaws: dict[tuple[str, str, Level], tuple[float, Flaw]] = {}
        self._router = Router(
            resolver,
            own=settings.own,
            port=settings.port,
            allow_internal=settings.allow_internal,
            dice=dice,
        )

    async def deliver(self, domain: str, envelope: Envelope, body: bytes) -> DeliveryResult:
        """Try every host once. `domain` is a Domain or an address literal, the one of all the
        envelope's recipients; `body` is not dot-stuffed. Every recipient gets an outcome."""
        if destination_address(domain):
            # RFC 8461 §3.4: an address literal has no policy
            route, found = await self._router.find_route(domain), None
        else:
            route, found = await self._plan(domain)
        if isinstance(route, NoRoute):
            return _unrouted(route, envelope, found)
        judgement = _judge(found)
        attempt = self._attempt(domain, route, judgement, envelope)
        content = _Content(to_wire(body), len(body))
        while hop := attempt.next_hop():
            attempt.feed(await self._visit(hop, judgement.mode, envelope, content))
        result = attempt.final()
        return replace(result, findings=(*(found.findings if found else ()), *result.findings))

    async def aclose(self) -> None:
        """Say QUIT on every idle connection."""
        await self._pool.aclose()

    # Where the domain takes no mail the policy is not waited for (RFC 7505 §3)
    async def _plan(self, domain: str) -> tuple[Route | NoRoute, Found | None]:
        finding = asyncio.ensure_future(self._find_policy(Domain(domain)))
        try:
            route = await self._router.find_route(domain)
            if isinstance(route, NoRoute) and route.reply.severity is Severity.PERMANENT:
                return route, None
            return route, await finding
        finally:
            if not finding.done():
                finding.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await finding

    def _attempt(
        self, domain: str, route: Route, judgement: _Judgement, envelope: Envelope
    ) -> Attempt:
        terms = Terms(
            domain=domain,
            mode=judgement.mode,
            snapshot=judgement.snapshot,
            ladder=ladder_for(judgement.mode, self._settings.floors),
            now=self._clock.now(),
        )
        hosts = [_judged(host, judgement.policy) for host in route.hosts]
        return Attempt(terms, hosts, envelope.recipients)

    async def _visit(self, hop: Hop, mode: str, envelope: Envelope, content: _Content) -> HopReport:
        if hop.has_lower_rung and (flaw := self._remembered(hop)):
            return HopReport(flaw=flaw)
        key = SessionKey(hop.host, hop.address, self._settings.port, hop.level, mode)
        async with self._pool.slot(key):
            if session := self._pool.take(key):
                report = await self._use(key, session, hop, envelope, content)
                # a kept connection may have died meanwhile: a fresh one decides
                if not (report.lost and not report.replies and not report.in_doubt):
                    return report
            try:
                session = await open_session(
                    hop,
                    self._settings.port,
                    self._settings.hostname,
                    self._contexts,
                    self._settings.timeouts,
                )
            except HopError as error:
                self._keep_plain(error, key, hop)
                return self._remember(hop, error.report)
            return await self._use(key, session, hop, envelope, content)

    async def _use(
        self, key: SessionKey, session: Session, hop: Hop, envelope: Envelope, content: _Content
    ) -> HopReport:
        try:
            report = await session.send(envelope, hop.recipients, content.wire, content.size)
        except BaseException:  # cancelled amid a transaction: the dialogue has lost its place
            session.close()
            raise
        self._pool.give(key, session)
        return report

    # A host without STARTTLS needs no second connection where the ladder goes down to clear text
    def _keep_plain(self, error: HopError, key: SessionKey, hop: Hop) -> None:
        if error.session and hop.has_lower_rung:
            self._pool.give(replace(key, level=Level.CLEAR), error.session)
        elif error.session:
            error.session.close()

    def _remember(self, hop: Hop, report: HopReport) -> HopReport:
        if report.flaw and hop.has_lower_rung:
            if len(self._flaws) >= _FLAW_LIMIT:
                self._flaws.clear()
            until = self._clock.now() + _FLAW_MEMORY
            self._flaws[hop.host, hop.address, hop.level] = (until, report.flaw)
        return report

    def _remembered(self, hop: Hop) -> Flaw | None:
        until, flaw = self._flaws.get((hop.host, hop.address, hop.level), (0.0, None))
        ahead = until - self._clock.now()
        # a clock set back must not make the memory longer
        return flaw if 0 < ahead <= _FLAW_MEMORY else None


def _judge(found: Found | None) -> _Judgement:
    if found is None:
        return _Judgement()
    return _Judgement(found.policy.mode, found.policy, found.snapshot)


# RFC 8461 §4.1: the name of the MX record is what the policy lists or does not
def _judged(host: Host, policy: Policy | None) -> Host:
    return replace(host, listed=validate_mx(host.name, policy).valid)


def _unrouted(route: NoRoute, envelope: Envelope, found: Found | None) -> DeliveryResult:
    final = route.reply.severity is Severity.PERMANENT
    status = Status.FAILED if final else Status.DEFERRED
    outcomes = [Outcome(one, status, route.reply, route.reason) for one in envelope.recipients]
    return DeliveryResult(tuple(outcomes), found.findings if found else ())
