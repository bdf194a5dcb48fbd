"""Mail addresses and domains (RFC 5321 §4.1.2, RFC 6531 §3.3), and which networks are internal."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NewType

from relay.immutable import immutable

Domain = NewType("Domain", str)
"""A domain in lower-case A-labels without a final dot; only `parse_domain` makes one."""

Network = IPv4Network | IPv6Network

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
# said by what is not in them, as a set of all Unicode but ASCII takes milliseconds to compile
_ATEXT = r"[^\x00-\x20\"(),.:;<>@\[\\\]\x7f]+"
_DOT_STRING = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-\x7e])*"')
_UNICODE_CONTROLS = re.compile(r"[\u0080-\u009f\u2028\u2029\ud800-\udfff]")
_TO_EMBED = re.compile(r"[+= \u0080-\U0010FFFF]|\\(?!x\{[0-9A-F]+\})")
_LOCAL_LIMIT = 64  # octets, RFC 5321 §4.5.3.1.1
_DOMAIN_LIMIT = 253  # characters of a name that fits into DNS
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressError(ValueError):
    """The text is no domain or no address; says why."""


@immutable
class Mailbox:
    """An address in its two parts; `local` as written, `destination` a Domain or "[192.0.2.1]"."""

    local: str
    destination: str


def parse_domain(text: str) -> Domain:
    """The domain in lower-case A-labels (IDNA 2008 with UTS 46). Raises AddressError."""
    if not text.isascii():
        text = _to_a_labels(text)
    if len(text) > _DOMAIN_LIMIT or not _DOMAIN.fullmatch(text):
        raise AddressError(f"{text[:80]!r} is not a domain name")
    # RFC 3696 §2: a name whose last label is all digits would be taken for an address
    if text.rpartition(".")[2].isdigit():
        raise AddressError(f"{text!r} is not a domain name: its last label is a number")
    return Domain(text.lower())


@lru_cache(maxsize=2048)  # an address is looked at at RCPT, on the way to the queue, and kept
def parse_mailbox(text: str) -> Mailbox:
    """An address without angle brackets and source route. Raises AddressError.

    The local part is checked, never changed (RFC 5321 §2.4).
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError(f"{text[:80]!r} has no domain")
    if not _is_local(local):
        raise AddressError(f"{local[:80]!r} is not a local part")
    if domain.startswith("["):
        return Mailbox(local, parse_literal(domain))
    return Mailbox(local, parse_domain(domain))


# RFC 5321 §4.1.3
def parse_literal(text: str) -> str:
    """An address literal such as "[192.0.2.1]" or "[IPv6:::1]", normalised. Raises AddressError."""
    inner = text[1:-1]
    tagged = inner[:5].lower() == "ipv6:"
    try:
        ip = (IPv6Address if tagged else IPv4Address)(inner[5:] if tagged else inner)
    except ValueError:
        raise AddressError(f"{text[:80]!r} is not an address literal") from None
    if not text.endswith("]") or (isinstance(ip, IPv6Address) and ip.scope_id):
        raise AddressError(f"{text[:80]!r} is not an address literal")
    return f"[IPv6:{ip}]" if tagged else f"[{ip}]"


def destination_address(destination: str) -> str | None:
    """The IP address of a literal destination such as "[IPv6:2001:db8::1]"; None for a domain."""
    if not destination.startswith("["):
        return None
    return destination[1:-1].removeprefix("IPv6:")


@lru_cache(maxsize=2048)
def is_internal(address: str) -> bool:
    """Whether an IP address is not one of a public host: loopback, private, link-local and so on.

    What is embedded counts (IPv4-mapped, 6to4, Teredo, NAT64): all of them lead back inside.
    """
    return any(not ip.is_global or ip.is_multicast for ip in _faces(ip_address(address)))


def is_allowed(address: str, allow_internal: Iterable[Network]) -> bool:
    """Whether the relay may connect to this address: public, or in a network the operator lists."""
    return not is_internal(address) or any(_parsed(address) in net for net in allow_internal)


_parsed = lru_cache(maxsize=2048)(ip_address)


# RFC 5890 §2.3.2.1: the A-label form of a domain is the same domain
def plainest(address: str) -> str:
    """An address so that it asks the least of a host: without UTF-8 unless its local part has it.

    What is no address is not touched.
    """
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    if not local or not local.isascii():
        return address
    try:
        return f"{local}@{parse_domain(domain)}"
    except AddressError:
        return address


# RFC 6533 §3: utf-8-addr-xtext
def as_ascii(address: str) -> str:
    """An address in UTF-8 written in ASCII, for notices; one in ASCII is not touched."""
    if address.isascii():
        return address
    return _TO_EMBED.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


# RFC 5321 §4.1.2, RFC 6531 §3.3: Local-part
def _is_local(local: str) -> bool:
    if _UNICODE_CONTROLS.search(local) or len(local.encode("utf-8", "replace")) > _LOCAL_LIMIT:
        return False
    return bool(_DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local))


def _to_a_labels(text: str) -> str:
    import idna  # its tables take 25 ms to load and few domains need them

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise AddressError(f"{text[:80]!r} is not a domain name: {error}") from None


def _faces(ip: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(ip, IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    embedded = [ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        return [IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip, *(inner for inner in embedded if inner)]
