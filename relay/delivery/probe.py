"""Asks MX hosts what they would do with mail, without sending any (RFC 3207, RFC 8461 §4.2).

Each host is walked as an attempt would walk it alone; connections are those of deliveries.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from relay.delivery.attempt import Attempt
from relay.delivery.auth import as_ours_to_mend
from relay.delivery.caller import Caller, Timeouts
from relay.delivery.hop import Exchange, Hop, HopReport, Host, Unreachable
from relay.delivery.rehearsal import Place, place_of
from relay.delivery.session import Session
from relay.delivery.terms import Terms
from relay.envelope import Envelope
from relay.reply import Reply

# A person waits: less patient than RFC 5321 §4.5.3.2 asks of deliveries
PATIENCE = Timeouts(connect=10, greeting=30, ehlo=20, starttls=20, mail=20, quit=2)
_LONGEST = 60.0  # seconds for all addresses and levels of one host
_AT_ONCE = 10  # hosts
_READY = Reply(250, "2.0.0", "nothing stands against it")


class Prober:
    """Calls hosts; `caller` says how, `by_route` whether a route leads there."""

    def __init__(self, caller: Caller, *, by_route: bool, longest: float = _LONGEST) -> None:
        """`longest` is in seconds, for one host."""
        self._caller = caller
        self._by_route = by_route
        self._longest = longest
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def probe(
        self, terms: Terms, hosts: Sequence[Host], envelope: Envelope, now: float
    ) -> dict[Place, HopReport]:
        """What each hop came to of an attempt at that moment with all of these hosts; those that
        policy or DNS rule out are not called. `now` is in seconds since 1970."""
        reports: dict[Place, HopReport] = {}
        async with asyncio.TaskGroup() as calls:
            for host in hosts:
                attempt = Attempt(terms, [host], envelope.recipients, now)
                calls.create_task(self._walk(attempt, envelope, now, reports))
        return reports

    async def _walk(
        self, attempt: Attempt, envelope: Envelope, now: float, reports: dict[Place, HopReport]
    ) -> None:
        async with self._turns:
            end = asyncio.get_running_loop().time() + self._longest
            while hop := attempt.next_hop():
                reports[place_of(hop)] = report = await self.call(hop, envelope, end)
                attempt.feed(report, now)

    async def call(self, hop: Hop, envelope: Envelope, end: float) -> HopReport:
        """What a hop comes to that is over at `end`, by the loop's clock: connect, STARTTLS,
        certificate, QUIT."""
        session = Session(hop.host, hop.address, hop.level, self._caller)
        try:
            async with asyncio.timeout_at(end):
                report = await session.probe(envelope, hurried=hop.hurried)
        except TimeoutError:
            session.abort()
            return Unreachable(f"the probe took longer than {self._longest:.0f} seconds")
        except asyncio.CancelledError:
            session.abort()
            raise
        await session.aclose()
        if isinstance(report, Exchange) and not report.lost:
            report = replace(report, replies=dict.fromkeys(hop.recipients, _READY))
        return as_ours_to_mend(report) if self._by_route else report
