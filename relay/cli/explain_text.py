"""What `relay explain` tells people, as lines. Pure; asks nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from relay.cli.explain_view import Explanation, HostView, Queued
from relay.cli.output import printable
from relay.cli.policy_text import describe, field, span
from relay.delivery.rehearsal import Verdict
from relay.delivery.terms import Terms
from relay.delivery.tls import Level
from relay.delivery.waiver import Waiver
from relay.evidence import Action

_LEVELS = {
    Level.VERIFIED: "verified TLS",
    Level.ENCRYPTED: "TLS with any certificate",
    Level.CLEAR: "clear text",
}
_BY_NAME = {level.name.lower(): words for level, words in _LEVELS.items()}
_PROBE = "it has not been asked (--probe does)"
_KEPT_BACK = ("policy", "tls-floor")


def explain(told: Explanation, now: float) -> Iterator[str]:
    """The explanation as lines without line ends, safe for a terminal. `now` as in `describe`."""
    for line in _lines(told, now):
        yield printable(line)


def _lines(told: Explanation, now: float) -> Iterator[str]:
    yield f"{told.address} {_outcome(told.verdict)}"
    if told.view:
        yield from describe(replace(told.view, way=told.way), now)
    elif told.way:
        yield told.way
    if told.as_if:
        yield from field("as if", [f"mode {told.as_if}; what follows is judged by that"])
    if told.terms:
        yield from field("tls", [_floor(told.terms)])
        yield from field("waivers", [_waiver(one, now) for one in told.terms.waivers])
    if told.hosts:
        yield from field("hosts", list(_table(told.hosts)))
    yield from field("queued", [_waiting(told.queued, now)])
    if last := told.queued.last:
        where = f" at {last.host}" if last.host else ""
        yield from field("last", [f"{span(now - last.time)} ago{where}: {last.reply}"])


def _outcome(verdict: Verdict) -> str:
    match verdict.status:
        case "delivered":
            noted = f"; {_violations(verdict)} would be recorded" if verdict.findings else ""
            return f"would be delivered to {verdict.host} {_over(verdict.tls)}{noted}"
        case "offered":
            wanted = _BY_NAME[verdict.tls or ""]
            return f"would be offered to {verdict.host} over {wanted}; {_open(verdict)}"
        case "deferred":
            return f"would be deferred ({verdict.reason}): {verdict.detail}"
        case "bounced":
            return f"would be bounced: {verdict.detail}"
        case _:
            return "cannot be told: the caches do not know its hosts"


def _open(verdict: Verdict) -> str:
    return f"{verdict.detail}; {_PROBE}" if verdict.detail else _PROBE


def _violations(verdict: Verdict) -> str:
    count = len(verdict.findings)
    return "1 violation" if count == 1 else f"{count} violations"


def _over(tls: str | None) -> str:
    if tls in (None, "clear"):
        return "in clear text"
    return f"over {tls}" if tls.startswith("verified") else f"over {tls} with any certificate"


def _floor(terms: Terms) -> str:
    best, least = _LEVELS[terms.ladder[0]], _LEVELS[terms.ladder[-1]]
    if terms.mode == "enforce":
        return f"{best} and nothing less: its policy is in mode enforce"
    setting = terms.floor or f"tls.{'testing' if terms.mode == 'testing' else 'no_policy'}"
    if len(terms.ladder) == 1:
        return f"{best} and nothing less ({setting})"
    seen = f"; {terms.remembered.words} was seen before" if terms.remembered else ""
    return f"{best} is tried first, {least} will do ({setting}){seen}"


def _waiver(waiver: Waiver, now: float) -> str:
    left = waiver.until - now
    ends = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
    return f"{waiver}, {ends}: {waiver.reason}"


# Two lines for each, so that names and addresses stand together in 80 columns, too
def _table(hosts: Sequence[HostView]) -> Iterator[str]:
    ranks = ["-" if one.preference is None else str(one.preference) for one in hosts]
    width = max(map(len, ranks))
    for rank, one in zip(ranks, hosts, strict=True):
        yield f"{rank:>{width}}  {one.name}  {', '.join(one.addresses) or '-'}"
        yield f"{'':{width}}  {_judgement(one)}"


def _judgement(host: HostView) -> str:
    listed = f"listed by {host.match}; " if host.match else ""
    verdict = host.verdict
    match verdict.status:
        case "delivered":
            noted = [one.detail for one in verdict.findings if one.action is not Action.REFUSED]
            seen = f"; recorded: {', '.join(noted)}" if noted else ""
            return f"{listed}takes mail {_over(verdict.tls)}{seen}"
        case "offered":
            return f"{listed}{_open(verdict)}"
        case "bounced":
            return f"{listed}refuses for good: {verdict.detail}"
        case _ if verdict.reason in _KEPT_BACK:
            return f"{listed}gets no mail: {verdict.detail}"
        case _:
            return f"{listed}is of no use now: {verdict.detail}"


def _waiting(queued: Queued, now: float) -> str:
    if queued.oldest is None:
        return "nothing"
    why = ", ".join(f"{count} {name or 'not tried yet'}" for name, count in queued.reasons.items())
    jobs = "1 job" if queued.jobs == 1 else f"{queued.jobs} jobs"
    return f"{jobs}, the oldest {span(now - queued.oldest)} old; {why}; {_due(queued, now)}"


def _due(queued: Queued, now: float) -> str:
    if queued.next_attempt is None:
        return "none waits for its time"
    if queued.next_attempt <= now:
        return "the next try is due"
    return f"the next try is in {span(queued.next_attempt - now)}"
