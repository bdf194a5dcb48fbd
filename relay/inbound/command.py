"""The arguments of MAIL and RCPT (RFC 5321 §4.1.1.2, §4.1.1.3). Knows syntax, not addresses."""

import re
from dataclasses import dataclass

_PATH = re.compile(r' *<((?:[^"<> ]|"(?:[^"\\]|\\.)*")*)>(?: +(.*))?')
_ROUTE = re.compile(r"@[^@:, ]+(?:,@[^@:, ]+)*:")
_MAIL_PARAMETERS = {
    "SIZE": re.compile(r"SIZE=\d{1,20}", re.ASCII | re.IGNORECASE),  # RFC 1870 §3
    "BODY": re.compile(r"BODY=(?:7BIT|8BITMIME)", re.ASCII | re.IGNORECASE),  # RFC 6152 §2
    "SMTPUTF8": re.compile(r"SMTPUTF8", re.ASCII | re.IGNORECASE),  # RFC 6531 §3.4
}
_RCPT_PARAMETERS: dict[str, re.Pattern[str]] = {}


class CommandError(ValueError):
    """The command is refused; the text is the reply."""


@dataclass(frozen=True, slots=True)
class PathCommand:
    """An address without angle brackets and source route, "<>" for the null path; parameters."""

    address: str
    options: list[str]

    def has(self, keyword: str) -> bool:
        """Whether a parameter without a value is there."""
        return any(option.upper() == keyword for option in self.options)


def parse_mail(argument: str, *, extended: bool) -> PathCommand:
    """What follows MAIL; `extended` after EHLO. Raises CommandError."""
    return _parse("MAIL FROM", argument, _MAIL_PARAMETERS if extended else {})


def parse_rcpt(argument: str, *, extended: bool) -> PathCommand:
    """What follows RCPT. Raises CommandError."""
    return _parse("RCPT TO", argument, _RCPT_PARAMETERS if extended else {})


def _parse(command: str, argument: str, known: dict[str, re.Pattern[str]]) -> PathCommand:
    keyword = command.partition(" ")[2] + ":"
    found = _PATH.fullmatch(argument, len(keyword))
    if not found or argument[: len(keyword)].upper() != keyword:
        raise CommandError(f"501 5.5.4 Write {command}:<address>")
    options = [option for option in (found[2] or "").split(" ") if option]
    _check(options, known)
    # RFC 5321 §4.1.1.3, appendix C: source routes are recognised and dropped
    route = _ROUTE.match(found[1])
    address = found[1][route.end() :] if route else found[1]
    return PathCommand(address or "<>", options)


def _check(options: list[str], known: dict[str, re.Pattern[str]]) -> None:
    seen = set()
    for option in options:
        keyword = option.partition("=")[0].upper()
        if keyword not in known:
            raise CommandError("555 5.5.4 A parameter is not known here")
        if keyword in seen or not known[keyword].fullmatch(option):
            raise CommandError(f"501 5.5.4 The parameter {keyword} is wrong or there twice")
        seen.add(keyword)
