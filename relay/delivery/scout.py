"""Whether mail would be taken now, found out without any (RFC 8461 §5.1). Knows no queue.

An attempt of which hosts see no more than a probe: DNS is asked anew, and `Attempt` judges.
"""

import asyncio
from dataclasses import replace

from relay.clock import Clock
from relay.delivery.attempt import Attempt
from relay.delivery.blame import Blame
from relay.delivery.caller import Caller
from relay.delivery.hop import Hop, HopReport, Unreachable
from relay.delivery.next_hop import NextHop
from relay.delivery.plan import Plan, Planner
from relay.delivery.probe import PATIENCE, Prober
from relay.delivery.terms import Rules
from relay.envelope import Envelope
from relay.outcome import Outcome, Prospect, Status

_LONGEST = 60.0  # seconds for all hosts of a domain
_SHARED = 2.0  # seconds that what a host has said holds for other domains, too

_ANYBODY = ("postmaster",)  # the same for all domains: what a host says is said to all of them

_Place = tuple[Hop, int]  # the hop and the port


class Scout:
    """Looks ahead for mail of any domain. A host is called once, however many domains ask."""

    def __init__(self, planner: Planner, caller: Caller, rules: Rules, clock: Clock) -> None:
        """`caller` is one of deliveries: who, from where, whom to trust. Nobody logs in: a login
        that is refused again and again locks an account."""
        self._planner = planner
        self._caller = replace(caller, timeouts=PATIENCE, identity=None)
        self._rules = rules
        self._clock = clock
        self._calls: dict[_Place, asyncio.Task[HopReport]] = {}

    def policy_domain(self, destination: str) -> str:
        """Whose policy holds for mail to a Domain or an address literal."""
        return self._planner.next_hop(destination).destination

    async def look(self, destination: str) -> Prospect:
        """What an attempt would come to now; never raises for what the network does."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        plan = await self._planner.plan(destination, loop.time())
        prospect = _prospect(plan)
        if isinstance(plan.route, Blame):
            return prospect
        terms = plan.terms(self._rules)
        attempt = Attempt(terms, plan.hosts, _ANYBODY, self._clock.now())
        while hop := attempt.next_hop():
            report = await self._call(hop, plan.next_hop, end)
            attempt.feed(report, self._clock.now())
        return _concluded(prospect, attempt.final().outcomes[0])

    async def aclose(self) -> None:
        """Hang up; nobody is looking any more."""
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _call(self, hop: Hop, next_hop: NextHop, end: float) -> HopReport:
        too_late = Unreachable(f"the look took longer than {_LONGEST:.0f} seconds")
        if asyncio.get_running_loop().time() >= end:
            return too_late
        port = next_hop.port or self._caller.port
        place = (replace(hop, waived=None), port)
        call = self._calls.get(place) or self._begin(place, by_route=next_hop.route is not None)
        # a look that ends, or whose time is over, must not be the end of others
        try:
            async with asyncio.timeout_at(end):
                return await asyncio.shield(call)
        except TimeoutError:
            return too_late

    def _begin(self, place: _Place, *, by_route: bool) -> asyncio.Task[HopReport]:
        hop, port = place
        prober = Prober(replace(self._caller, port=port), by_route=by_route)
        end = asyncio.get_running_loop().time() + _LONGEST
        call = asyncio.ensure_future(prober.call(hop, Envelope(None, _ANYBODY), end))
        self._calls[place] = call
        call.add_done_callback(lambda _: self._forget_later(place))
        return call

    def _forget_later(self, place: _Place) -> None:
        asyncio.get_running_loop().call_later(_SHARED, self._calls.pop, place, None)


def _prospect(plan: Plan) -> Prospect:
    policy = plan.found.policy if plan.found else None
    return Prospect(
        plan.next_hop.destination,
        policy=(policy.mode, policy.id) if policy else ("none", None),
        # equal preferences come in any order
        mx=tuple(sorted(record.host for record in plan.records)),
        findings=plan.found.findings if plan.found else (),
    )


def _concluded(prospect: Prospect, outcome: Outcome) -> Prospect:
    if outcome.status is not Status.DELIVERED:
        return prospect
    return replace(prospect, host=outcome.host, tls=outcome.tls)
