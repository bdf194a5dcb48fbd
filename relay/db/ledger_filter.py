"""A filter of violations as conditions of SQL, for every reader of the ledger."""

from typing import Any

from relay.reporting.store import Filter

EVER = 1e15
"""In seconds since 1970; later than any time a record can have."""

_LAST = (1 << 63) - 1

KIND = """
  kind.domain = coalesce(:domain, kind.domain) AND kind.mode = coalesce(:mode, kind.mode)
  AND kind.mx = coalesce(:mx, kind.mx) AND kind.reason = coalesce(:reason, kind.reason)
  AND kind.action = coalesce(:action, kind.action)"""
"""Whether a row of `kind` is wanted."""


def parameters(wanted: Filter) -> dict[str, Any]:
    """The named parameters: those of KIND, :since and :until, :after and :up_to."""
    return {
        "since": 0.0 if wanted.since is None else wanted.since,
        "until": EVER if wanted.until is None else wanted.until,
        "domain": wanted.domain,
        "mx": wanted.mx,
        "mode": "" if wanted.mode == "none" else wanted.mode,
        "reason": wanted.reason,
        "action": wanted.action,
        "after": wanted.after,
        "up_to": _LAST if wanted.up_to is None else wanted.up_to,
    }


def is_of_every_kind(wanted: Filter) -> bool:
    """Whether KIND leaves no row of `kind` out."""
    named = (wanted.domain, wanted.mx, wanted.mode, wanted.reason, wanted.action)
    return all(one is None for one in named)
