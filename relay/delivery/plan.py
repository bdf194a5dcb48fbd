"""What an attempt sets out with: next hop, hosts, policy (RFC 8461 §5). Asks DNS, calls no host."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from relay.address import Domain, destination_address
from relay.delivery.blame import Blame
from relay.delivery.hop import Host
from relay.delivery.next_hop import NextHop, find_route
from relay.delivery.route import Route, Router
from relay.delivery.terms import Rules, Terms, terms_for
from relay.immutable import immutable
from relay.mta_sts.found import Found
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import Policy
from relay.reply import Reply, Severity
from relay.resolver import MxRecord

T = TypeVar("T")


class FindPolicy(Protocol):
    """Gives the policy of a domain with what was found amiss."""

    def __call__(self, domain: Domain, *, since: float | None = None) -> Coroutine[Any, Any, Found]:
        """With `since` by a record that was looked up after then, by the loop's clock."""
        ...


@immutable
class Plan:
    """Whom to try, in order, and by whose policy; `route` may be why there is nobody.

    `records` are the MX records that gave the hosts. `found` None: an address literal has no
    policy, and without hosts none is looked up.
    """

    next_hop: NextHop
    route: Route | Blame
    found: Found | None = None
    records: tuple[MxRecord, ...] = ()

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts, judged by the policy; none where there is no way."""
        hosts = () if isinstance(self.route, Blame) else self.route.hosts
        policy = self.found.policy if self.found else None
        # RFC 8461 §4.1: the name of the MX record is what the policy lists or does not
        return tuple(_judged(one, policy) for one in hosts)

    def terms(self, rules: Rules) -> Terms:
        """What binds the attempt; `rules` are those of all mail."""
        if self.found is None:
            return terms_for(self.next_hop, "none", None, rules)
        return terms_for(self.next_hop, self.found.policy.mode, self.found.snapshot, rules)


class Planner:
    """Makes plans; keeps what is the same for all of them."""

    def __init__(
        self, router: Router, find_policy: FindPolicy, routes: Mapping[str, NextHop]
    ) -> None:
        """`routes` are the next hops by domain pattern."""
        self._router = router
        self._find_policy = find_policy
        self._routes = routes

    def next_hop(self, destination: str) -> NextHop:
        """Whom mail to a Domain or an address literal is handed to."""
        return find_route(destination, self._routes) or NextHop(destination)

    async def plan(self, destination: str, since: float | None = None) -> Plan:
        """The plan for mail to a Domain or an address literal.

        With `since`, by the loop's clock, MX and policy records were looked up after then.
        """
        next_hop = self.next_hop(destination)
        plan = await self._plan(next_hop, since)
        if isinstance(plan.route, Blame):
            return replace(plan, route=_mendable(plan.route, next_hop))
        return plan

    # Policy and addresses at the same time, but nothing for a domain that takes no mail
    # (RFC 7505 §3)
    async def _plan(self, next_hop: NextHop, since: float | None) -> Plan:
        if destination_address(next_hop.destination):
            # RFC 8461 §3.4: a policy is a domain's; an address literal has none
            return Plan(next_hop, self._router.reach(next_hop))
        records = await self._router.find_hosts(next_hop, since)
        if isinstance(records, Blame):
            return Plan(next_hop, records)
        # RFC 8461 §3.4: the policy of whom the mail is handed to, whoever is to read it
        policy = partial(self._find_policy, Domain(next_hop.destination), since=since)
        with _Alongside(policy) as finding:
            route = await self._router.locate(next_hop, records)
            return Plan(next_hop, route, await finding.result(), records)


class _Alongside(Generic[T]):
    """Work begun at the same time as what is awaited in its `with`.

    A task only where that has to wait: what is in memory takes no turn of the event loop.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def __enter__(self) -> "_Alongside[T]":
        self._turn = asyncio.get_running_loop().call_soon(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self._turn.cancel()
        if self._task:
            self._task.cancel()

    def result(self) -> Awaitable[T]:
        """What the work comes to."""
        self._turn.cancel()
        return self._task or self._work()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())


def _judged(host: Host, policy: Policy | None) -> Host:
    listed = validate_mx(host.name, policy).valid
    return host if host.listed == listed else replace(host, listed=listed)


# As with Postfix's relayhost: what is wrong with a route is the operator's to mend, so that no mail
# is given up for it at once
def _mendable(cause: Blame, next_hop: NextHop) -> Blame:
    if not next_hop.route or cause.reply.severity is not Severity.PERMANENT:
        return cause
    text = f"{next_hop.route}.next_hop of our configuration is of no use: {cause.reply.text}"
    return replace(cause, reply=Reply(451, "4.3.5", text))
