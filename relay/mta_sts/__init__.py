"""MTA-STS (RFC 8461): find a domain's policy and judge its MX hosts. Knows no SMTP and no queue."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.mta_sts.error import MtaStsError
    from relay.mta_sts.lookup import get_policy
    from relay.mta_sts.match import MxValidation, validate_mx
    from relay.mta_sts.policy import Policy, PolicyResult, parse_policy
    from relay.mta_sts.record import parse_txt

# resolved when asked for, so that the pure modules do not load the network with the package
_PLACES = {
    "MtaStsError": "error",
    "MxValidation": "match",
    "Policy": "policy",
    "PolicyResult": "policy",
    "get_policy": "lookup",
    "parse_policy": "policy",
    "parse_txt": "record",
    "validate_mx": "match",
}

__all__ = [
    "MtaStsError",
    "MxValidation",
    "Policy",
    "PolicyResult",
    "get_policy",
    "parse_policy",
    "parse_txt",
    "validate_mx",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
