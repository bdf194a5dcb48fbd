"""Why mail that was kept back leaves now, in words for the operator. Pure."""

from relay.outcome import Prospect

_SHOWN = 5  # MX hosts told


def release_text(seen: Prospect, before: Prospect | None, count: int) -> str:
    """One sentence; `before` is what the look before found, None: there was none."""
    messages = "1 message" if count == 1 else f"{count} messages"
    leave = "leaves" if count == 1 else "leave"
    return f"{_cause(seen, before)}: {messages} for {seen.domain} {leave} now"


def _cause(seen: Prospect, before: Prospect | None) -> str:
    if before and before.policy != seen.policy:
        mode, record_id = seen.policy
        if record_id is None:
            return f"{seen.domain} has no policy any more"
        return f"{seen.domain} has another policy (mode {mode}, id {record_id})"
    if before and before.mx != seen.mx:
        others = " and others" * (len(seen.mx) > _SHOWN)
        return f"{seen.domain} has other MX hosts ({', '.join(seen.mx[:_SHOWN])}{others})"
    if seen.tls and seen.tls.startswith("verified"):
        return f"{seen.host} verifies again"
    return f"{seen.host} can be given mail again"
