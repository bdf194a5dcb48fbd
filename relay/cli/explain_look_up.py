"""Live look-ups behind `relay explain`: the plan of a delivery, and what hosts say to a probe."""

import asyncio
from dataclasses import replace
from functools import partial
from random import Random

from relay.address import Domain
from relay.cli.explain_view import Explanation, HostView, Question, Queued
from relay.cli.policy_look_up import LookUps, look_ups
from relay.cli.policy_text import View
from relay.clock import SystemClock
from relay.config import Settings
from relay.db.tls_level_reader import read_level
from relay.delivery.blame import Blame, outcome_of
from relay.delivery.deliverer import DeliverySettings, build_caller, build_planner
from relay.delivery.hop import HopReport, Host
from relay.delivery.plan import Plan
from relay.delivery.probe import PATIENCE, Prober
from relay.delivery.rehearsal import Place, Verdict, rehearse, verdict_of
from relay.delivery.terms import Terms
from relay.envelope import Envelope
from relay.evidence import PolicySnapshot
from relay.mta_sts.found import Found
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import Policy, PolicyResult
from relay.storage import POLICIES
from relay.wiring import delivery_settings, remembering


def explain_online(settings: Settings, question: Question, queued: Queued) -> Explanation:
    """Look everything up now. Raises StorageError, ConfigError: credentials."""
    return asyncio.run(_explain(settings, question, queued))


async def _explain(settings: Settings, question: Question, queued: Queued) -> Explanation:
    recall = partial(read_level, settings.storage_directory / POLICIES)
    delivery = remembering(settings, delivery_settings(settings), recall)
    async with look_ups(settings) as desk:
        dice = Random()  # noqa: S311 - the order of equal hosts, as a delivery has it
        planner = build_planner(delivery, desk.resolver, desk.find, dice)
        plan = await planner.plan(question.destination)
        told = Explanation(
            question.address,
            Verdict("unknown"),
            queued,
            view=_view(desk, plan),
            as_if=question.as_if,
        )
    if isinstance(plan.route, Blame):
        return replace(told, verdict=verdict_of(outcome_of(question.address, plan.route)))
    if question.as_if:
        plan = _as_if(plan, question.as_if)
    return await _judge(delivery, plan, told, probe=question.probe)


# What was found amiss is on record; here the policy is shown as it is, whatever is assumed
def _view(desk: LookUps, plan: Plan) -> View | None:
    destination = plan.next_hop.destination
    if plan.found:
        cached = desk.policies.load(Domain(destination))
        return View(destination, plan.found.result, cached)
    if destination.startswith("["):
        return View(destination, PolicyResult(Policy(), "not_found"))
    return None


# A policy in another mode: with its own patterns, or where it has none with the hosts there are
def _as_if(plan: Plan, mode: str) -> Plan:
    if plan.found is None:
        return plan
    patterns = plan.found.policy.mx or tuple(record.host for record in plan.records)
    policy = replace(plan.found.policy, mode=mode, mx=patterns)
    snapshot = PolicySnapshot(policy.id, mode, patterns, policy.max_age, 0)
    found = Found(replace(plan.found.result, policy=policy), snapshot)
    return replace(plan, found=found)


async def _judge(
    delivery: DeliverySettings, plan: Plan, told: Explanation, *, probe: bool
) -> Explanation:
    terms, address, now = plan.terms(delivery.tls), told.address, SystemClock().now()
    reports = await _probe(delivery, plan, terms, address, now) if probe else {}
    verdict = rehearse(terms, plan.hosts, address, reports, now)
    ranks = {record.host: record.preference for record in plan.records}
    policy = plan.found.policy if plan.found else None
    hosts = [
        HostView(
            host.name,
            ranks.get(host.name),
            host.addresses,
            _pattern(host, policy),
            rehearse(terms, [host], address, reports, now),
        )
        for host in plan.hosts
    ]
    return replace(told, verdict=verdict, terms=terms, hosts=tuple(hosts), probed=probe)


async def _probe(
    delivery: DeliverySettings, plan: Plan, terms: Terms, address: str, now: float
) -> dict[Place, HopReport]:
    hop = plan.next_hop
    caller = replace(
        build_caller(replace(delivery, timeouts=PATIENCE)),
        port=hop.port or delivery.port,
        identity=hop.identity,
    )
    envelope = Envelope(None, (address,))
    envelope = replace(envelope, smtputf8=envelope.has_utf8_address)
    prober = Prober(caller, by_route=hop.route is not None)
    return await prober.probe(terms, plan.hosts, envelope, now)


def _pattern(host: Host, policy: Policy | None) -> str | None:
    match = validate_mx(host.name, policy).match
    return f"*{match}" if match and match.startswith(".") else match
