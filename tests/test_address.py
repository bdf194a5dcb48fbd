"""Domains, mailboxes and internal networks: tables of good and bad rows."""

from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.address import (
    AddressError,
    as_ascii,
    destination_address,
    is_allowed,
    is_internal,
    parse_domain,
    parse_mailbox,
    plainest,
)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("localhost", "localhost"),
        ("a-b.c1.test", "a-b.c1.test"),
        ("4you.test", "4you.test"),
        pytest.param("bücher.test", "xn--bcher-kva.test", id="STS-01"),
        pytest.param("straße.test", "xn--strae-oqa.test", id="EXT-15: not strasse"),
        ("BÜCHER.test", "xn--bcher-kva.test"),
        (f"{'a' * 63}.test", f"{'a' * 63}.test"),
    ],
)
def test_domain(text: str, domain: str) -> None:
    assert parse_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "example.com.",
        ".example.com",
        "a..b",
        "-a.test",
        "a-.test",
        "a_b.test",
        "a b.test",
        "a.test\n",
        "192.0.2.1",
        "[192.0.2.1]",
        "ex\u2028ample.test",
        f"{'a' * 64}.test",
        ".".join(["a" * 60] * 5),
        "\u0661.test\u0661",
    ],
)
def test_not_a_domain(text: str) -> None:
    with pytest.raises(AddressError, match="is not a domain name"):
        parse_domain(text)


@pytest.mark.parametrize(
    ("text", "local", "destination"),
    [
        pytest.param("Joe@D.TEST", "Joe", "d.test", id="SRV-09"),
        ("a.b+c@d.test", "a.b+c", "d.test"),
        ('"a,b@c"@d.test', '"a,b@c"', "d.test"),
        ('"a\\"b"@d.test', '"a\\"b"', "d.test"),
        ("jürgen@d.test", "jürgen", "d.test"),
        pytest.param("u@[192.0.2.1]", "u", "[192.0.2.1]", id="STS-15"),
        ("u@[IPv6:2001:DB8::1]", "u", "[IPv6:2001:db8::1]"),
        pytest.param(f"{'a' * 64}@d.test", "a" * 64, "d.test", id="SRV-13"),
    ],
)
def test_mailbox(text: str, local: str, destination: str) -> None:
    mailbox = parse_mailbox(text)
    assert (mailbox.local, mailbox.destination) == (local, destination)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@d.test",
        "a@",
        pytest.param("a@@b", id="SRV-35"),
        "a..b@d.test",
        ".a@d.test",
        "a b@d.test",
        "a@d.test\r\n",
        "a\r\nRCPT TO:<x@y>@d.test",
        "a\x00@d.test",
        "a\u2028b@d.test",
        "a\ud800@d.test",
        '"a"b"@d.test',
        "u@[192.0.2.256]",
        "u@[192.0.2.1",
        "u@[::1]",
        "u@[IPv6:fe80::1%eth0]",
        f"{'a' * 65}@d.test",
    ],
)
def test_not_a_mailbox(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)


@given(st.text())
def test_parsers_raise_only_their_own_error(text: str) -> None:
    for parse in (parse_domain, parse_mailbox):
        with suppress(AddressError):
            parse(text)


@given(st.text(alphabet="abcXYZ019-.", max_size=40))
def test_parsing_a_domain_twice_changes_nothing(text: str) -> None:
    try:
        once = parse_domain(text)
    except AddressError:
        return
    assert parse_domain(once) == once


@pytest.mark.parametrize(
    ("destination", "address"),
    [("d.test", None), ("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")],
)
def test_destination_address(destination: str, address: str | None) -> None:
    assert destination_address(destination) == address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",  # noqa: S104 - an address to judge, not one to bind to
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_internal_address(address: str) -> None:
    assert is_internal(address)
    assert not is_allowed(address, [])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_address(address: str) -> None:
    assert not is_internal(address)
    assert is_allowed(address, [])


def test_internal_address_in_a_listed_network_is_allowed() -> None:
    networks = [ip_network("127.0.0.0/8"), ip_network("fd00::/8")]
    assert is_allowed("127.0.0.1", networks)
    assert is_allowed("fd00::1", networks)
    assert not is_allowed("10.0.0.1", networks)


@pytest.mark.parametrize(
    ("address", "ascii_form"),
    [
        pytest.param("a+b@d.test", "a+b@d.test", id="ASCII is not touched"),
        pytest.param("grün@d.test", r"gr\x{FC}n@d.test", id="EXT-17"),
        pytest.param("ü+=@d.test", r"\x{FC}\x{2B}\x{3D}@d.test", id="what is special there"),
        pytest.param(r"ü\x{FC}\y@d.test", r"\x{FC}\x{FC}\x{5C}y@d.test", id="done before"),
        pytest.param("\U0001f600@d.test", r"\x{1F600}@d.test", id="beyond the first plane"),
    ],
)
def test_as_ascii(address: str, ascii_form: str) -> None:
    assert as_ascii(address) == ascii_form
    assert as_ascii(ascii_form) == ascii_form


@pytest.mark.parametrize(
    ("address", "plainest_form"),
    [
        pytest.param("u@d.test", "u@d.test", id="ASCII"),
        pytest.param("U+x@Bücher.test", "U+x@xn--bcher-kva.test", id="EXT-15"),
        pytest.param("ü@bücher.test", "ü@bücher.test", id="EXT-15 the local part has UTF-8"),
        pytest.param("nobody", "nobody", id="no address"),
        pytest.param("ü", "ü", id="no address in UTF-8"),
        pytest.param("", "", id="the null path"),
    ],
)
def test_plainest(address: str, plainest_form: str) -> None:
    assert plainest(address) == plainest_form
