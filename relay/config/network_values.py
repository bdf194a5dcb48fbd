"""What names, addresses and ports may look like in the file; values.py has the rest."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from relay.address import AddressError, Network, parse_domain, parse_literal, parse_mailbox
from relay.config.values import text_of, whole
from relay.delivery.next_hop import EVERYTHING, NextHop

_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost))(?::(\d{1,5}))?", re.ASCII)
_NEXT_HOP = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?", re.ASCII)
_PROXY = re.compile(r"http://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
_WEBHOOK = re.compile(
    r"(https?)://(?:[^\s/?#@]+@)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?"
    r"(?:[/?][!\"$-~]*)?"
)
_LAST_PORT = 65535
_DNS_PORT = 53

port = whole(1, _LAST_PORT)


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
        return ip_network(text_of(value))
    except ValueError as error:
        why = f" ({error})" if "host bits" in str(error) else ""
        raise ValueError(f'must be a network such as "192.0.2.0/24" or "::1/128"{why}') from None


def address(version: int) -> Callable[[object], str]:
    """An IP address of one version, as text."""

    def parse(value: object) -> str:
        try:
            found = ip_address(text_of(value))
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
        name = parse_domain(text_of(value))
    except AddressError:
        name = None
    if not name or "." not in name:
        raise ValueError('must be a full host name such as "relay.example.org"')
    return name


def domain_pattern(value: object) -> str:
    """A domain; or "*." and a domain, for all below it; or "*", for every destination."""
    text = text_of(value)
    star = "*." if text.startswith("*.") else ""
    try:
        return text if text == EVERYTHING else star + parse_domain(text.removeprefix(star))
    except AddressError:
        raise ValueError(
            'must be a domain such as "example.org", "*.example.org" for all below it, or "*"'
        ) from None


def next_hop(value: object) -> NextHop:
    """Where mail goes: a domain by its MX hosts, or in brackets a host or an address."""
    found = _NEXT_HOP.fullmatch(text_of(value))
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
    found = _PROXY.fullmatch(text_of(value))
    if not found or not 0 < int(found[1] or 80) <= _LAST_PORT:
        raise ValueError('must be "http://HOST:PORT", without a user name')
    return found[0]


# Without TLS only what never leaves this machine
def webhook(value: object) -> str:
    """The URL that alerts are posted to."""
    found = _WEBHOOK.fullmatch(text_of(value))
    host = (found[2] or found[3]) if found else ""
    local, known = _is_host(host)
    if not found or not known or not 0 < int(found[4] or 443) <= _LAST_PORT:
        raise ValueError('must be a URL such as "https://chat.example.org/hooks/relay"')
    if found[1] != "https" and not local:
        raise ValueError("must be an https:// URL; http:// is for this machine alone (127.0.0.1)")
    return found[0]


def mailbox(value: object) -> str:
    """A mail address with a domain."""
    address = text_of(value)
    try:
        parse_mailbox(address)
    except AddressError:
        raise ValueError('must be a mail address such as "postmaster@example.org"') from None
    return address


# RFC 5321 §4.1.3 asks for "IPv6:", which hardly anybody writes into a configuration
def _bracketed(inner: str) -> str:
    tag = "IPv6:" if ":" in inner and inner[:5].lower() != "ipv6:" else ""
    try:
        return parse_literal(f"[{tag}{inner}]")
    except AddressError:
        return parse_domain(inner)


# Whether it is this machine, and whether it can be a host at all
def _is_host(text: str) -> tuple[bool, bool]:
    try:
        return ip_address(text).is_loopback, True
    except ValueError:
        pass
    try:
        return parse_domain(text) == "localhost", True
    except AddressError:
        return False, False


# "localhost" is what people write; it is taken for the one address that it always means
def _endpoint(value: object) -> tuple[str, int | None]:
    found = _ENDPOINT.fullmatch(text_of(value))
    if not found or int(found[3] or 0) > _LAST_PORT:
        return "", None
    host = "127.0.0.1" if found[2] == "localhost" else found[1] or found[2]
    try:
        address = ip_address(host)
    except ValueError:
        return "", None
    return str(address), int(found[3]) if found[3] else None
