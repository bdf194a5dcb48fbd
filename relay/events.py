"""What the log says of a settlement: an event for each recipient and notice. Pure."""

from relay.outcome import DeliveryResult, Status
from relay.queue.job import Settlement
from relay.queue.notice import has_sender
from relay.timestamp import rfc3339


def events_of(
    settlement: Settlement, result: DeliveryResult, now: float
) -> list[tuple[str, dict[str, object]]]:
    """The events with their fields."""
    job, rest = settlement.job, settlement.remainder
    kept = rest.recipients if rest else ()
    events: list[tuple[str, dict[str, object]]] = []
    for outcome in result.outcomes:
        event = "deferred" if outcome.recipient in kept else "bounced"
        if outcome.status is Status.DELIVERED:
            event = "delivered"
        fields: dict[str, object] = {
            "queue_id": job.message_id,
            "to": outcome.recipient,
            "host": outcome.host,
            "address": outcome.address,
            "tls": outcome.tls,
            "reason": outcome.reason and outcome.reason.value,
            "reply": str(outcome.reply),
            "attempt": job.attempts + 1,
            "age": round(now - job.created, 3),
        }
        if rest and event == "deferred":
            fields["next_attempt"] = rfc3339(rest.next_attempt)
        events.append((event, fields))
    given_up = [fields["to"] for event, fields in events if event == "bounced"]
    if given_up and not settlement.notices:
        # RFC 5321 §4.5.5: no failure is lost silently, not even that of a notice
        why = "not asked for" if has_sender(job.envelope) else "no sender to tell"
        events.append(("unnotified", {"queue_id": job.message_id, "to": given_up, "why": why}))
    if not result.outcomes and rest is None:
        events.append(("withdrawn", {"queue_id": job.message_id, "domain": job.domain}))
    for notice in settlement.notices:
        told = {"queue_id": job.message_id, "notice": notice.id, "to": notice.envelope.recipients}
        events.append(("notified", dict(told)))
    return events
