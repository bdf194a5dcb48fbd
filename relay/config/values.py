"""What a setting may look like in the file, and what becomes of it. Knows neither keys nor files.

Every function here raises a ValueError that says what is allowed.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeGuard

from relay.address import AddressError, Network, parse_domain, parse_literal, parse_mailbox
from relay.delivery.next_hop import EVERYTHING, NextHop

_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 3650 * 86400
_RATE = re.compile(r"([1-9][0-9]{0,8})/([smhd])")
_SIZE = re.compile(r"(\d{1,12})(KiB|MiB|GiB)?", re.ASCII)
_OCTETS = {None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LARGEST_MESSAGE = 900 * 2**20  # a row of the embedded database ends at 10^9 octets
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost))(?::(\d{1,5}))?", re.ASCII)
_NEXT_HOP = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?", re.ASCII)
_PROXY = re.compile(r"http://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
_LAST_PORT = 65535
_DNS_PORT = 53


def duration_or_zero(value: object) -> float:
    """Seconds of a text such as "30s"; zero is allowed."""
    found = _DURATION.fullmatch(_text(value))
    if not found:
        raise ValueError('must be a duration such as "30s", "5m", "4h" or "5d"')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST:
        raise ValueError('must be at most "3650d"')
    return float(seconds)


def duration(value: object) -> float:
    """Seconds of a text such as "30s", more than zero."""
    seconds = duration_or_zero(value)
    if not seconds:
        raise ValueError('must be longer than "0s"')
    return seconds


def duration_or_never(value: object) -> float | None:
    """Seconds, or None for "never"."""
    try:
        return None if value == "never" else duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "never"') from None


def rate(value: object) -> float:
    """How many a second, of a text such as "100/m"."""
    found = _RATE.fullmatch(_text(value))
    if not found:
        raise ValueError('must be a number in a time, such as "10/s", "100/m" or "1000/h"')
    return int(found[1]) / _SECONDS[found[2]]


def size(value: object) -> int:
    """Octets, as a number or a text such as "50MiB"."""
    found = _SIZE.fullmatch(str(value) if _is_whole(value) else _text(value))
    if not found:
        raise ValueError('must be a size in bytes, or one such as "50MiB"')
    return int(found[1]) * _OCTETS[found[2]]


def message_size(value: object) -> int:
    """Octets of a message, as in `size`."""
    try:
        octets = size(value)
    except ValueError:
        octets = 0
    if not 0 < octets <= _LARGEST_MESSAGE:
        raise ValueError('must be a size in bytes, or one such as "50MiB", up to "900MiB"')
    return octets


def listener(value: object) -> tuple[str, int]:
    """Address and port to listen on; port 0 is any free one."""
    host, port = _endpoint(value)
    if port is None:
        raise ValueError('must be an address and a port such as "127.0.0.1:2525" or "[::1]:2525"')
    return host, port


def nameserver(value: object) -> tuple[str, int]:
    """Address and port of a DNS server; without a port it is 53."""
    host, port = _endpoint(value)
    if not host or port == 0:
        raise ValueError('must be an address, with a port or without: "127.0.0.1:53" or "[::1]"')
    return host, _DNS_PORT if port is None else port


def network(value: object) -> Network:
    """A network in CIDR form; an address alone is a network of one."""
    try:
        return ip_network(_text(value))
    except ValueError as error:
        why = f" ({error})" if "host bits" in str(error) else ""
        raise ValueError(f'must be a network such as "192.0.2.0/24" or "::1/128"{why}') from None


def address(version: int) -> Callable[[object], str]:
    """An IP address of one version, as text."""

    def parse(value: object) -> str:
        try:
            found = ip_address(_text(value))
        except ValueError:
            found = None
        if found is None or found.version != version:
            shown = "192.0.2.1" if version == 4 else "2001:db8::1"
            raise ValueError(f'must be an IPv{version} address such as "{shown}"')
        return str(found)

    return parse


# RFC 5321 §4.1.1.1: the primary host name, so one with a dot
def host_name(value: object) -> str:
    """A full host name."""
    try:
        name = parse_domain(_text(value))
    except AddressError:
        name = None
    if not name or "." not in name:
        raise ValueError('must be a full host name such as "relay.example.org"')
    return name


def domain_pattern(value: object) -> str:
    """A domain; or "*." and a domain, for all below it; or "*", for every destination."""
    text = _text(value)
    star = "*." if text.startswith("*.") else ""
    try:
        return text if text == EVERYTHING else star + parse_domain(text.removeprefix(star))
    except AddressError:
        raise ValueError(
            'must be a domain such as "example.org", "*.example.org" for all below it, or "*"'
        ) from None


def next_hop(value: object) -> NextHop:
    """Where mail goes: a domain by its MX hosts, or in brackets a host or an address."""
    found = _NEXT_HOP.fullmatch(_text(value))
    port = int(found[3]) if found and found[3] else None
    try:
        if found and (port is None or 0 < port <= _LAST_PORT):
            host = _bracketed(found[1]) if found[1] else parse_domain(found[2])
            return NextHop(host, port, by_mx=not found[1])
    except AddressError:
        pass
    raise ValueError(
        'must be a host in brackets such as "[smtp.example.org]:587" or "[192.0.2.1]:25", '
        'or a domain with MX hosts such as "example.org"'
    )


def proxy(value: object) -> str:
    """The URL of an HTTP proxy."""
    found = _PROXY.fullmatch(_text(value))
    if not found or not 0 < int(found[1] or 80) <= _LAST_PORT:
        raise ValueError('must be "http://HOST:PORT", without a user name')
    return found[0]


def mailbox(value: object) -> str:
    """A mail address with a domain."""
    address = _text(value)
    try:
        parse_mailbox(address)
    except AddressError:
        raise ValueError('must be a mail address such as "postmaster@example.org"') from None
    return address


def storage_url(value: object) -> str:
    """Where the embedded databases lie."""
    scheme, _, directory = _text(value).partition(":")
    if scheme != "sqlite" or not directory or "\0" in directory:
        raise ValueError('must be "sqlite:" and a directory, such as "sqlite:./var"')
    return f"sqlite:{directory}"


def path(value: object) -> Path:
    """A file, as yet relative to the configuration's directory."""
    text = _text(value)
    if not text or "\0" in text:
        raise ValueError('must be the path of a file, such as "./ca.pem"')
    return Path(text)


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        word = _text(value)
        if word not in words:
            raise ValueError("must be " + " or ".join(f'"{each}"' for each in words))
        return word

    return parse


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """A whole number within these bounds, both included."""
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"

    def parse(value: object) -> int:
        if not _is_whole(value) or value < least or (most is not None and value > most):
            raise ValueError(f"must be a whole number, {bounds}")
        return value

    return parse


port = whole(1, _LAST_PORT)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# What is no text becomes one that no rule takes
def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# RFC 5321 §4.1.3 asks for "IPv6:", which hardly anybody writes into a configuration
def _bracketed(inner: str) -> str:
    tag = "IPv6:" if ":" in inner and inner[:5].lower() != "ipv6:" else ""
    try:
        return parse_literal(f"[{tag}{inner}]")
    except AddressError:
        return parse_domain(inner)


# "localhost" is what people write; it is taken for the one address that it always means
def _endpoint(value: object) -> tuple[str, int | None]:
    found = _ENDPOINT.fullmatch(_text(value))
    if not found or int(found[3] or 0) > _LAST_PORT:
        return "", None
    host = "127.0.0.1" if found[2] == "localhost" else found[1] or found[2]
    try:
        address = ip_address(host)
    except ValueError:
        return "", None
    return str(address), int(found[3]) if found[3] else None
