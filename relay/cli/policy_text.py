"""What `relay policy DOMAIN` tells people, as lines. Pure; asks nobody."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relay.cli.output import printable
from relay.immutable import immutable
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import CachedPolicy, FetchFailure, Policy, PolicyResult
from relay.timestamp import rfc3339

if TYPE_CHECKING:
    from relay.mta_sts.lint import Remark

_UNITS = ((86_400, "days"), (3600, "h"), (60, "min"))
_TWO = 1.995  # as good as two, since what is to last for days is milliseconds short of them


@immutable
class View:
    """What is known of a domain's policy.

    `hosts` are the current MX hosts, preference and name; None: not looked up, a text: why there
    are none. `remarks` None: nothing was there to be looked at. `way` says whose mail goes to this
    domain, or to the address literal in its place, by a route. `offline`: only the cache was asked.
    """

    domain: str
    result: PolicyResult
    cached: CachedPolicy | None = None
    hosts: Sequence[tuple[int, str]] | str | None = None
    remarks: "Sequence[Remark] | None" = None
    way: str | None = None
    offline: bool = False


def describe(view: View, now: float) -> Iterator[str]:
    """The view as lines without line ends, safe for a terminal. `now` in seconds since 1970."""
    for line in _lines(view, now):
        yield printable(line)


def span(seconds: float) -> str:
    """A time in the largest unit of which it has two: "90 min", "3 h", "7 days"; "0 s" at least."""
    for size, unit in _UNITS:
        if seconds >= _TWO * size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(0, round(seconds))} s"


def field(name: str, values: Sequence[str]) -> Iterator[str]:
    """The lines of a field with one value or more."""
    for value in values:
        yield f"  {name:8} {value}"
        name = ""


def _lines(view: View, now: float) -> Iterator[str]:
    policy = view.result.policy
    if view.way:
        yield view.way
    yield f"{view.domain}: {_headline(view)}"
    if view.domain.startswith("["):
        return
    yield from field("source", [_source(view, now)])
    if policy.version:
        yield from field("id", [policy.id or "-"])
        yield from field("max_age", [f"{policy.max_age} ({span(policy.max_age)})"])
        yield from field("mx", policy.mx or ["-"])
    if trouble := _trouble(view, now):
        yield from field("trouble", [trouble])
    yield from _verdicts(policy, view.hosts)
    yield from _remarks(view.remarks)


def _headline(view: View) -> str:
    policy = view.result.policy
    if view.domain.startswith("["):
        return "an address has no MTA-STS policy"
    if policy.version:
        return f"mode {policy.mode}"
    if view.result.status == "not_found" and not view.offline:
        return "publishes no MTA-STS policy"
    return "no policy is in force"


def _source(view: View, now: float) -> str:
    policy, cached = view.result.policy, view.cached
    if policy.version and view.result.status == "found":
        return f"fetched now, {_ending(policy, now)}"
    if policy.version and cached:
        alone = "the cache alone" if view.offline else "the cache"
        age = span(now - cached.fetched_at)
        same = "; DNS has the same id" if view.result.status == "renewed" else ""
        return (
            f"from {alone}, fetched {age} ago, {_ending(policy, now)}{'' if view.offline else same}"
        )
    if cached and cached.policy:
        ended = span(now - cached.expires)
        return f"the cached policy (mode {cached.policy.mode}) expired {ended} ago"
    if view.offline:
        return "nothing is cached" if cached is None else "the cache has no policy"
    return "DNS has no record" if view.result.status == "not_found" else "no policy is cached"


def _ending(policy: Policy, now: float) -> str:
    if policy.expires is None:
        return "for this once"
    ends = policy.expires.timestamp()
    return f"expires in {span(ends - now)} ({rfc3339(ends)[:19]}Z)"


# What a refresh met counts though the look-up just made went well
def _trouble(view: View, now: float) -> str | None:
    error = view.result.policy.error
    failure = view.cached.failure if view.cached else None
    if failure and (error is None or error.code == failure.code):
        again = f", tried again in {span(failure.next_try - now)}" if failure.next_try > now else ""
        return tell(failure, now) + again
    return f"{error.message} ({error.code})" if error else None


def tell(failure: FetchFailure, now: float) -> str:
    """How often and since when something failed, and how the last time."""
    text = f"{failure.message} ({failure.code}), {span(now - failure.at)} ago"
    if failure.count > 1:
        text += f"; failed {failure.count} times since {span(now - failure.since)}"
    return text


def _verdicts(policy: Policy, hosts: Sequence[tuple[int, str]] | str | None) -> Iterator[str]:
    if hosts is None:
        return
    if isinstance(hosts, str):
        yield from field("hosts", [hosts])
        return
    first = max(len(str(rank)) for rank, _ in hosts)
    width = max(len(name) for _, name in hosts)
    rows = [f"{rank:>{first}}  {name:{width}}  {_verdict(policy, name)}" for rank, name in hosts]
    yield from field("hosts", rows)


def _verdict(policy: Policy, host: str) -> str:
    verdict = validate_mx(host, policy)
    if verdict.match:
        return f"allowed by {'*' if verdict.match.startswith('.') else ''}{verdict.match}"
    if verdict.valid:
        return "allowed, no policy asks for anything"
    if verdict.testing:
        return "recorded: no pattern covers it; mail is delivered all the same"
    return "refused: no pattern covers it"


def _remarks(remarks: "Sequence[Remark] | None") -> Iterator[str]:
    if remarks is None:
        return
    rows = [f"{remark.severity:7}  {remark.text}" for remark in remarks]
    yield from field("remarks", rows or ["none"])
