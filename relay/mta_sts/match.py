"""Whether a policy lists an MX host (RFC 8461 §4.1). Pure; never raises."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from relay.mta_sts.policy import Policy

_FEW = 20  # patterns of a policy whose verdicts are remembered
_NAME_LIMIT = 253  # characters of a name that fits into DNS
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class MxValidation:
    """The verdict on one host: refuse where `not valid and not testing`, record where `not valid`.

    `match` is the name that matched, or a wildcard pattern without its star; None without a match.
    """

    valid: bool
    mode: str
    match: str | None = None
    testing: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The documented object; `match` is absent where nothing matched."""
        shown: dict[str, Any] = {"valid": self.valid, "mode": self.mode}
        if self.match is not None:
            shown["match"] = self.match
        return shown | {"testing": self.testing}


def validate_mx(mx: str, policy: Policy | None) -> MxValidation:
    """The verdict on the MX record's name `mx`; None and mode none allow every host."""
    mode = policy.mode if policy else "none"
    if policy is None or mode not in ("enforce", "testing"):
        return MxValidation(valid=True, mode="none")
    host, patterns = _normal(mx), tuple(policy.mx)
    few = len(patterns) <= _FEW and len(host) <= _NAME_LIMIT
    match = (_find_match if few else _find_match.__wrapped__)(host, patterns)
    return MxValidation(match is not None, mode, match, mode == "testing")


@lru_cache(maxsize=1024)  # a domain's mail comes in crowds
def _find_match(host: str, patterns: tuple[str, ...]) -> str | None:
    if not _is_name(host):
        return None
    # RFC 8461 §4.1: the star stands for exactly one label, the leftmost
    parent = "." + host.partition(".")[2]
    for pattern in (one.lower() for one in patterns if one.isascii()):
        if pattern == host:
            return host
        if pattern.startswith("*.") and pattern[1:] == parent and _is_name(pattern[2:]):
            return parent
    return None


def _normal(mx: str) -> str:
    host = mx.removesuffix(".")
    if host.isascii():
        return host.lower()
    labels = host.split(".")
    try:
        return ".".join(one.lower() if one.isascii() else _a_label(one) for one in labels)
    except UnicodeError:
        return ""


# Nothing is mapped on the way: a full-width digit is no digit, a Kelvin sign no k
def _a_label(label: str) -> str:
    import idna  # its tables take 25 ms to load and few names need them

    return idna.alabel(label).decode("ascii")


# a name whose last label is a number is an address, and no host name
@lru_cache(maxsize=1024)
def _is_name(host: str) -> bool:
    return bool(_HOST.fullmatch(host)) and not host.rpartition(".")[2].isdigit()
