"""What a client asks to be told of its mail: the parameters of RFC 3461 §4. Pure."""

import re
from collections.abc import Sequence

from relay.envelope import DsnRequest

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_HEX = re.compile(r"\+([0-9A-F]{2})")
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_EVENTS = {"SUCCESS", "FAILURE", "DELAY"}
_ENVID_LIMIT = 100
_ORCPT_LIMIT = 500


def is_xtext(value: str) -> bool:
    """Whether it is xtext of printable characters: what is hidden in it cannot end a line."""
    return bool(_XTEXT.fullmatch(value)) and all(
        " " <= chr(int(code, 16)) <= "~" for code in _HEX.findall(value)
    )


def is_ret(value: str) -> bool:
    """RFC 3461 §4.3."""
    return value.upper() in {"FULL", "HDRS"}


def is_envid(value: str) -> bool:
    """RFC 3461 §4.4."""
    return len(value) <= _ENVID_LIMIT and is_xtext(value)


def is_notify(value: str) -> bool:
    """RFC 3461 §4.1: NEVER stands alone, each of the others at most once."""
    events = value.upper().split(",")
    return events == ["NEVER"] or (len(set(events)) == len(events) and _EVENTS.issuperset(events))


def is_orcpt(value: str, *, utf8: bool) -> bool:
    """RFC 3461 §4.2; with `utf8` also RFC 6533 §3, an address in UTF-8 as it is."""
    kind, semicolon, address = value.partition(";")
    if len(value) > _ORCPT_LIMIT or not semicolon or not _TYPE.fullmatch(kind):
        return False
    if utf8 and kind.lower() == "utf-8":
        address = "".join(char for char in address if char.isascii() or not char.isprintable())
        return not address or is_xtext(address)
    return is_xtext(address)


def value_of(keyword: str, options: Sequence[str]) -> str | None:
    """The value of a parameter; None where it is not there."""
    found = (option.partition("=") for option in options)
    return next((value for name, _, value in found if name.upper() == keyword), None)


def dsn_request(options: Sequence[str]) -> DsnRequest:
    """What the parameters of RCPT ask for; the case of ORCPT is kept."""
    notify = value_of("NOTIFY", options)
    events = tuple(notify.upper().split(",")) if notify else ()
    return DsnRequest(events, value_of("ORCPT", options))
