"""What `relay explain --json` gives programs (docs/explain.md). Pure; asks nobody."""

from typing import Any

from relay.cli.explain_view import Explanation, HostView, Queued
from relay.cli.policy_text import View
from relay.delivery.rehearsal import Verdict
from relay.delivery.terms import Terms
from relay.delivery.waiver import Waiver
from relay.evidence import Finding
from relay.timestamp import rfc3339


def explanation_object(told: Explanation, now: float) -> dict[str, Any]:
    """The documented object; what does not apply is null. `now` is in seconds since 1970."""
    return {
        "address": told.address,
        "outcome": _verdict(told.verdict),
        "probed": told.probed,
        "as_if": told.as_if,
        "route": told.way,
        "policy": told.view and _policy(told.view),
        "tls": told.terms and _terms(told.terms),
        "waivers": [_waiver(one, now) for one in told.terms.waivers] if told.terms else [],
        "hosts": None if told.hosts is None else [_host(one) for one in told.hosts],
        "queued": _queued(told.queued),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "host": verdict.host,
        "tls": verdict.tls,
        "reason": verdict.reason,
        "detail": verdict.detail or None,
        "violations": [_finding(one) for one in verdict.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "reason": finding.failure,
        "mx": finding.mx,
        "action": finding.action,
        "detail": finding.detail,
    }


def _policy(view: View) -> dict[str, Any]:
    cached = view.cached
    fetched = rfc3339(cached.fetched_at) if cached and cached.policy else None
    return {"domain": view.domain, "fetched": fetched, **view.result.as_dict()}


def _terms(terms: Terms) -> dict[str, Any]:
    levels = [level.name.lower() for level in terms.ladder]
    remembered = terms.remembered and terms.remembered.name.lower()
    return {
        "mode": terms.mode,
        "levels": levels,
        "setting": terms.floor,
        "remembered": remembered,
    }


def _waiver(waiver: Waiver, now: float) -> dict[str, Any]:
    return {
        "name": waiver.name,
        "allow": waiver.kind,
        "until": rfc3339(waiver.until),
        "reason": waiver.reason,
        "in_force": waiver.is_in_force(now),
    }


def _host(host: HostView) -> dict[str, Any]:
    return {
        "host": host.name,
        "preference": host.preference,
        "addresses": list(host.addresses),
        "match": host.match,
        **{name: value for name, value in _verdict(host.verdict).items() if name != "host"},
    }


def _queued(queued: Queued) -> dict[str, Any]:
    last = queued.last
    return {
        "jobs": queued.jobs,
        "recipients": queued.recipients,
        "oldest": None if queued.oldest is None else rfc3339(queued.oldest),
        "next_attempt": None if queued.next_attempt is None else rfc3339(queued.next_attempt),
        "reasons": dict(queued.reasons),
        "last": last and {"time": rfc3339(last.time), "host": last.host, "reply": last.reply},
    }
