"""An attempt gone through without mail: what hosts told a probe is fed to it (RFC 8461 §5). Pure.

The attempt alone judges; this only says how far it comes with what is known.
"""

from collections.abc import Mapping, Sequence

from relay.delivery.attempt import Attempt
from relay.delivery.hop import Hop, HopReport, Host
from relay.delivery.terms import Terms
from relay.delivery.tls import Level
from relay.evidence import Finding
from relay.immutable import immutable
from relay.outcome import Outcome, Status

Place = tuple[str, str, Level]
"""Host, address and level: what a hop visits."""

_WOULD_BE = {
    Status.DELIVERED: "delivered",
    Status.DEFERRED: "deferred",
    Status.FAILED: "bounced",
}


@immutable
class Verdict:
    """What would become of mail: "delivered", "deferred", "bounced"; "offered" where that is up to
    a host not asked; "unknown" where not even the hosts are known.

    `host` None: none is concerned. `tls` as in Outcome, where offered the level wanted. `reason` as
    in Outcome. `detail` is the reply that a queue record would show; where offered it names the
    waiver that this takes, if any. `findings` are the violations that would be recorded.
    """

    status: str
    host: str | None = None
    tls: str | None = None
    reason: str | None = None
    detail: str = ""
    findings: tuple[Finding, ...] = ()


def place_of(hop: Hop) -> Place:
    """Where a hop leads."""
    return hop.host, hop.address, hop.level


def rehearse(
    terms: Terms,
    hosts: Sequence[Host],
    recipient: str,
    reports: Mapping[Place, HopReport],
    now: float,
) -> Verdict:
    """What an attempt with these hosts, at least one, would come to by these reports."""
    attempt = Attempt(terms, hosts, (recipient,), now)
    while hop := attempt.next_hop():
        report = reports.get(place_of(hop))
        if report is None:
            pass_by = f"{hop.waived.waiver} lets it pass" if hop.waived else ""
            return Verdict("offered", hop.host, hop.level.name.lower(), detail=pass_by)
        attempt.feed(report, now)
    result = attempt.final()
    return verdict_of(result.outcomes[0], result.findings)


def verdict_of(outcome: Outcome, findings: tuple[Finding, ...] = ()) -> Verdict:
    """The verdict of an attempt that has come to its end."""
    return Verdict(
        _WOULD_BE[outcome.status],
        outcome.host,
        outcome.tls,
        outcome.reason and outcome.reason.value,
        "" if outcome.status is Status.DELIVERED else str(outcome.reply),
        findings,
    )
