"""What `relay policy DOMAIN` tells people, as lines. Pure; asks nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay.cli.output import printable
from relay.mta_sts.lint import Remark
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import CachedPolicy, Policy, PolicyResult
from relay.timestamp import rfc3339

_UNITS = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a domain's policy.

    `hosts` are the current MX hosts, preference and name; None: not looked up, a text: why there
    are none. `remarks` None: nothing was there to be looked at. `way` says where mail for the
    domain goes if not to its own hosts. `offline`: only the cache was asked.
    """

    domain: str
    result: PolicyResult
    cached: CachedPolicy | None = None
    hosts: Sequence[tuple[int, str]] | str | None = None
    remarks: Sequence[Remark] | None = None
    way: str | None = None
    offline: bool = False


def describe(view: View, now: float) -> Iterator[str]:
    """The view as lines without line ends, safe for a terminal. `now` in seconds since 1970."""
    for line in _lines(view, now):
        yield printable(line)


def span(seconds: float) -> str:
    """A time in its largest whole unit: "3 h", "1 day"; a negative one is "0 s"."""
    for size, unit in _UNITS:
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {'day' if unit == 'days' and count == 1 else unit}"
    return "0 s"


def _lines(view: View, now: float) -> Iterator[str]:
    policy = view.result.policy
    if view.way:
        yield view.way
    yield f"{view.domain}: {_headline(view)}"
    yield from _field("source", [_source(view, now)])
    if policy.version:
        yield from _field("id", [policy.id or "-"])
        yield from _field("max_age", [f"{policy.max_age} ({span(policy.max_age)})"])
        yield from _field("mx", policy.mx or ["-"])
    if policy.error:
        yield from _field("trouble", [_trouble(view, now)])
    yield from _verdicts(policy, view.hosts)
    yield from _remarks(view.remarks)


def _headline(view: View) -> str:
    policy = view.result.policy
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


def _trouble(view: View, now: float) -> str:
    error = view.result.policy.error
    assert error is not None  # noqa: S101 - the caller has looked
    failure = view.cached.failure if view.cached else None
    text = f"{error.message} ({error.code})"
    if failure and failure.code == error.code:
        text += f", seen {span(now - failure.at)} ago"
        if failure.next_try > now:
            text += f", tried again in {span(failure.next_try - now)}"
    return text


def _verdicts(policy: Policy, hosts: Sequence[tuple[int, str]] | str | None) -> Iterator[str]:
    if hosts is None:
        return
    if isinstance(hosts, str):
        yield from _field("hosts", [hosts])
        return
    first = max(len(str(rank)) for rank, _ in hosts)
    width = max(len(name) for _, name in hosts)
    rows = [f"{rank:>{first}}  {name:{width}}  {_verdict(policy, name)}" for rank, name in hosts]
    yield from _field("hosts", rows)


def _verdict(policy: Policy, host: str) -> str:
    verdict = validate_mx(host, policy)
    if verdict.match:
        return f"allowed by {'*' if verdict.match.startswith('.') else ''}{verdict.match}"
    if verdict.valid:
        return "allowed, no policy asks for anything"
    if verdict.testing:
        return "recorded: no pattern covers it; mail is delivered all the same"
    return "refused: no pattern covers it"


def _remarks(remarks: Sequence[Remark] | None) -> Iterator[str]:
    if remarks is None:
        return
    rows = [f"{remark.severity:7}  {remark.text}" for remark in remarks]
    yield from _field("remarks", rows or ["none"])


def _field(name: str, values: Sequence[str]) -> Iterator[str]:
    for value in values:
        yield f"  {name:8} {value}"
        name = ""
