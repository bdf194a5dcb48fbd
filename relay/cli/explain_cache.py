"""What `relay explain` reads from policy cache and queue alone, without the network."""

from dataclasses import replace
from functools import partial

from relay import config
from relay.cli.explain_view import Explanation, Question, Queued
from relay.cli.policy_cache import view_offline
from relay.cli.policy_text import View
from relay.cli.policy_way import Way
from relay.clock import SystemClock
from relay.config import Settings
from relay.db.tls_level_reader import read_level
from relay.delivery.next_hop import NextHop, find_route
from relay.delivery.rehearsal import Verdict
from relay.delivery.terms import terms_for
from relay.mta_sts.policy import Policy, PolicyResult


def explain_offline(
    settings: Settings, question: Question, way: Way, queued: Queued
) -> Explanation:
    """What cache and queue say; hosts are kept in neither. Raises StorageError, ConfigError."""
    view = _view(settings, way)
    hop = find_route(question.destination, config.next_hops(settings))
    mode = question.as_if or view.result.policy.mode
    recall = partial(read_level, settings.storage_directory / "policies.db")
    rules = config.tls_rules(settings, recall)
    terms = terms_for(hop or NextHop(question.destination), mode, None, rules)
    return Explanation(
        question.address, Verdict("unknown"), queued, view, terms, as_if=question.as_if
    )


def _view(settings: Settings, way: Way) -> View:
    if way.domain is None:
        return View(way.hop.destination, PolicyResult(Policy(), "not_found"))
    path = settings.storage_directory / "policies.db"
    return replace(view_offline(path, way.domain, SystemClock().now()), remarks=None)
