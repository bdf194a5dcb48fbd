"""The arguments of MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3). Knows syntax, not addresses."""

import re
from collections.abc import Callable, Mapping
from functools import partial

from relay.immutable import immutable
from relay.inbound.dsn import is_envid, is_notify, is_orcpt, is_ret, is_xtext

_PATH = re.compile(r' *<((?:[^"<> ]|"(?:[^"\\]|\\.)*")*)>(?: +(.*))?')
_ROUTE = re.compile(r"@[^@:, ]+(?:,@[^@:, ]+)*:")
_SIZE = re.compile(r"\d{1,20}", re.ASCII)

Rules = Mapping[str, Callable[[str], bool]]
"""By keyword, whether a parameter's value is right; a parameter without one has none ("")."""

_MAIL: Rules = {
    "SIZE": lambda value: bool(_SIZE.fullmatch(value)),  # RFC 1870 §3
    "BODY": lambda value: value.upper() in {"7BIT", "8BITMIME"},  # RFC 6152 §2
    "SMTPUTF8": lambda value: not value,  # RFC 6531 §3.4
    "RET": is_ret,
    "ENVID": is_envid,
}
# RFC 4954 §5: understood and not believed
_AUTH: Rules = {"AUTH": lambda value: value == "<>" or is_xtext(value)}
_RCPT: Rules = {"NOTIFY": is_notify, "ORCPT": partial(is_orcpt, utf8=False)}
_RCPT_UTF8: Rules = {"NOTIFY": is_notify, "ORCPT": partial(is_orcpt, utf8=True)}


class CommandError(ValueError):
    """The command is refused; the text is the reply."""


@immutable
class PathCommand:
    """An address without angle brackets and source route, "<>" for the null path; parameters."""

    address: str
    options: list[str]

    def has(self, keyword: str) -> bool:
        """Whether a parameter without a value is there."""
        return any(option.upper() == keyword for option in self.options)


def parse_mail(argument: str, *, extended: bool, auth: bool = False) -> PathCommand:
    """What follows MAIL; `extended` after EHLO, `auth` where AUTH is offered.

    Raises CommandError.
    """
    known = {**_MAIL, **_AUTH} if auth else _MAIL
    return _parse("MAIL", "FROM:", argument, known if extended else {})


def parse_rcpt(argument: str, *, extended: bool, utf8: bool = False) -> PathCommand:
    """What follows RCPT; `utf8` in a transaction with SMTPUTF8. Raises CommandError."""
    known = _RCPT_UTF8 if utf8 else _RCPT
    return _parse("RCPT", "TO:", argument, known if extended else {})


def _parse(verb: str, keyword: str, argument: str, known: Rules) -> PathCommand:
    found = _PATH.fullmatch(argument, len(keyword))
    if not found or argument[: len(keyword)].upper() != keyword:
        raise CommandError(f"501 5.5.4 Write {verb} {keyword}<address>")
    address, parameters = found.groups()
    options = [one for one in parameters.split(" ") if one] if parameters else []
    _check(options, known)
    # RFC 5321 §4.1.1.3, appendix C: source routes are recognised and dropped
    if address.startswith("@") and (route := _ROUTE.match(address)):
        address = address[route.end() :]
    return PathCommand(address or "<>", options)


def _check(options: list[str], known: Rules) -> None:
    seen = set()
    for option in options:
        name, equals, value = option.partition("=")
        keyword = name.upper()
        # RFC 5321 §4.1.1.11
        if keyword not in known:
            raise CommandError("555 5.5.4 A parameter is not known here")
        if keyword in seen or bool(equals) != bool(value) or not known[keyword](value):
            raise CommandError(f"501 5.5.4 The parameter {keyword} is wrong or there twice")
        seen.add(keyword)
