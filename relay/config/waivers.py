"""What the configuration asks of TLS, and for single domains: waivers and requirements."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from relay.config.sections import Waiver
from relay.config.settings import Settings
from relay.timestamp import rfc3339

if TYPE_CHECKING:
    from relay.delivery.terms import Recall, Rules, Waivers
    from relay.delivery.tls import Requirement

_NOTICE = 14  # days before a waiver's end in which it is told of
_DAY = 86_400


def tls_rules(settings: Settings, recall: "Recall | None" = None) -> "Rules":
    """What the configuration asks of TLS, for all mail and for single domains; `recall` is asked
    what was seen before only where that counts."""
    from relay.delivery.terms import Rules  # 5 ms, and not for commands
    from relay.delivery.tls import Floors

    floors = Floors(settings.tls.testing, settings.tls.no_policy)
    remember = settings.tls.remember
    return Rules(
        floors,
        _requirements(settings),
        _waivers(settings),
        recall if remember else None,
        strict=remember == "enforce",
    )


# Those that have ended too; each of one kind
def _waivers(settings: Settings) -> "Waivers":
    from relay.delivery import waiver as delivery

    found = defaultdict(list)
    for name, one in _named(settings):
        for kind in one.allow:
            made = delivery.Waiver(one.domain, kind, one.until, one.reason, name)
            found[one.domain].append(made)
    return dict(found)


def _requirements(settings: Settings) -> dict[str, "Requirement"]:
    from relay.delivery.tls import Requirement

    return {
        one.domain: Requirement(one.tls, f"[[require]] for {one.domain}")
        for one in settings.require
    }


def faults_of_waivers(settings: Settings) -> Iterator[str]:
    """What is wrong with waivers and requirements that are right by themselves."""
    first: dict[tuple[str, str], str] = {}
    for name, waiver in _named(settings):
        for kind in waiver.allow:
            if (before := first.setdefault((waiver.domain, kind), name)) != name:
                yield f"{name}.allow: {waiver.domain} has a waiver for {kind} already, {before}"
    for number, require in enumerate(settings.require):
        name = f"require[{number}]"
        if (before := first.setdefault((require.domain, "tls"), name)) != name:
            yield f"{name}.domain: {require.domain} has a requirement already, {before}"


def warnings_about_waivers(settings: Settings, now: float) -> Iterator[str]:
    """What has ended or soon will, and what no mail will ever meet; `now` in seconds since 1970."""
    for name, waiver in _named(settings):
        if now >= waiver.until:
            yield (
                f"{name}.until: the waiver for {waiver.domain} has ended, {rfc3339(waiver.until)}; "
                "take it out, or give it more time"
            )
        elif waiver.until - now <= _NOTICE * _DAY:
            yield (
                f"{name}.until: the waiver for {waiver.domain} ends {rfc3339(waiver.until)}, "
                f"{_days(waiver.until - now)}; after that such mail is held back again"
            )
    named = [(name, waiver.domain) for name, waiver in _named(settings)]
    named += [(f"require[{number}]", one.domain) for number, one in enumerate(settings.require)]
    for name, domain in named:
        yield from _warning_about_route(settings, name, domain)


# RFC 8461 §3.4: with a route the next hop's domain is the policy domain
def _warning_about_route(settings: Settings, name: str, domain: str) -> Iterator[str]:
    route = settings.route_of(domain)
    reached = {one.next_hop.destination for one in settings.route}
    if route and domain not in reached and "*" not in domain:
        yield (
            f"{name}.domain: mail for {domain} goes to {route.next_hop} (route for "
            f"{route.domain}); so the domain of that next hop counts, not this one"
        )


def _days(seconds: float) -> str:
    days = int(seconds // _DAY)
    return "within a day" if days < 1 else f"in {days} day{'s' * (days > 1)}"


def _named(settings: Settings) -> Iterator[tuple[str, Waiver]]:
    return ((f"waiver[{number}]", one) for number, one in enumerate(settings.waiver))
