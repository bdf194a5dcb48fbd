"""What became of a message in words for the person who sent it: who, why, whose side. Pure."""

import textwrap
from collections.abc import Iterator, Sequence

from relay.evidence import Action, Failure, Finding, PolicySnapshot
from relay.outcome import Outcome, Reason, Status
from relay.queue.notice import Notice, has_sender
from relay.timestamp import rfc5322

_WIDTH = 76
_FINDINGS = 10  # told at most
_PATTERNS = 10  # likewise
_FAILED = (
    "Your message could not be delivered to the recipients below. The relay has given up on them; "
    "this is final."
)
_DELAYED = (
    "Your message has not been delivered yet to the recipients below. You need not send it again: "
    "the relay goes on trying until {}."
)
_RELAYED = (
    "Your message has been passed on for the recipients below, to a mail host that does not "
    "confirm deliveries: no confirmation will follow. Should the delivery fail there, that host "
    "tells you."
)
_SENDERLESS = (
    "The message below has no sender who could be told (it may itself be a notice), so you, the "
    "postmaster, are told, and nobody else is."
)
_EXPIRED = (
    "What might have passed has not, for as long as the relay keeps mail, so it is given up now."
)
_ADVICE = {
    Reason.POLICY: "The recipient's domain asks by an MTA-STS policy (RFC 8461) that mail goes "
    "only to the hosts it lists, over TLS with a valid certificate, and none of its hosts passed. "
    "Only the operators of that domain can repair this: a host, its certificate or the policy.",
    Reason.TLS_FLOOR: "This relay is configured to require TLS here (a local rule, not the "
    "recipient's); the recipient's host did not offer what the rule asks for. Its operators can "
    "repair that, or the operators of this relay can change the rule.",
    Reason.DNS: "The cause is what the DNS says, or fails to say, of the recipient's domain. Check "
    "the address; if it is right, only the operators of that domain can change this.",
    Reason.UNREACHABLE: "The recipient's mail hosts could not be reached, or broke off. Their "
    "operators may not know yet.",
    Reason.ANSWERED: "The answer above is that of the recipient's mail host; its operators know "
    "why.",
}
_FOUND_OUT = (
    "The cause above is what this relay found out about the recipient's mail host, not an answer "
    "to your message. Where the host lacks something, its operators can repair that; or send the "
    "message in a form that the host takes."
)
_REPAIR = {
    Failure.MX_MISMATCH: "To repair: list this host in the policy and give its TXT record a new "
    "id, or take the host out of the MX records.",
    Failure.STARTTLS_NOT_SUPPORTED: "To repair: let this host offer STARTTLS.",
    Failure.CERTIFICATE_EXPIRED: "To repair: renew the certificate of this host.",
    Failure.CERTIFICATE_HOST_MISMATCH: "To repair: give this host a certificate with its MX name "
    "among the subjectAltNames.",
    Failure.CERTIFICATE_NOT_TRUSTED: "To repair: give this host a certificate of a publicly "
    "trusted authority, with all intermediate certificates.",
    Failure.VALIDATION_FAILURE: "To repair: let this host complete a handshake of TLS 1.2 or "
    "newer.",
}


def explain(notice: Notice, hostname: str) -> Iterator[str]:
    """The lines of the notice's text, none longer than 78 characters."""
    fates, job = notice.fates, notice.job
    yield f"This is the mail relay {hostname}."
    if not has_sender(job.envelope):
        yield from ("", *_wrapped(_SENDERLESS))
    yield from _paragraph(_FAILED, fates.failed)
    if any(one.status is Status.DEFERRED for one in fates.failed):
        yield from ("", *_wrapped(_EXPIRED))
    yield from _paragraph(_DELAYED.format(rfc5322(notice.ends)), fates.delayed)
    yield from _paragraph(_RELAYED, fates.relayed)
    told = [*fates.failed, *fates.delayed]
    yield from _seen(told, notice.findings)
    for advice in filter(None, dict.fromkeys(map(_advice, told))):
        yield from ("", *_wrapped(advice))
    arrived = f"The message came in on {rfc5322(job.created)}; attempts made: {job.attempts + 1}."
    yield from ("", *_wrapped(arrived))


def _advice(outcome: Outcome) -> str:
    if outcome.reason is Reason.ANSWERED and not outcome.remote:
        return _FOUND_OUT
    return _ADVICE[outcome.reason] if outcome.reason else ""


def _paragraph(text: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    if outcomes:
        yield from ("", *_wrapped(text), *_causes(outcomes))


def _causes(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield from ("", *_wrapped(f"<{outcome.recipient}>"))
        said = f"{outcome.host} answered: " if outcome.remote and outcome.host else ""
        yield from _wrapped(said + (str(outcome.reply) if said else outcome.reply.text), "    ")


# What ruled the hosts out is told where the policy or our own floor kept the mail back
def _seen(outcomes: Sequence[Outcome], findings: Sequence[Finding]) -> Iterator[str]:
    if not any(one.reason in (Reason.POLICY, Reason.TLS_FLOOR) for one in outcomes):
        return
    refused = [one for one in findings if one.failure and one.action is Action.REFUSED]
    if policy := next((one.policy for one in refused if one.policy), None):
        yield from ("", *_wrapped(_described(refused[0].domain, policy)))
    if refused:
        yield from ("", "What was seen at the last attempt:")
    for finding in refused[:_FINDINGS]:
        yield from _wrapped(_sentence(finding), "    ")
        if finding.failure in _REPAIR:
            yield from _wrapped(_REPAIR[finding.failure], "    ")


def _sentence(finding: Finding) -> str:
    where = f"{finding.domain}, host {finding.mx}" if finding.mx else finding.domain
    return f"{where}: {finding.failure}: {finding.detail}"


def _described(domain: str, policy: PolicySnapshot) -> str:
    listed = ", ".join(policy.mx[:_PATTERNS]) + " and others" * (len(policy.mx) > _PATTERNS)
    return f"The MTA-STS policy of {domain}: mode {policy.mode}, id {policy.id}, hosts {listed}."


def _wrapped(text: str, indent: str = "") -> list[str]:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return textwrap.wrap(shown, _WIDTH, initial_indent=indent, subsequent_indent=indent)
