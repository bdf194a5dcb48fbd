"""What names, addresses and ports may look like: tables of good and bad values."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import network_values
from relay.delivery.next_hop import NextHop
from tests.config.refusal import ANYTHING, refusal

PARSERS = [
    network_values.listener,
    network_values.nameserver,
    network_values.network,
    network_values.host_name,
    network_values.domain_pattern,
    network_values.next_hop,
    network_values.proxy,
    network_values.mailbox,
    network_values.webhook,
]


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (network_values.proxy, "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        (network_values.proxy, "http://[::1]:3128/", "http://[::1]:3128/"),
        (network_values.proxy, "http://proxy.d.test", "http://proxy.d.test"),
        (network_values.listener, "127.0.0.1:2525", ("127.0.0.1", 2525)),
        (network_values.listener, "0.0.0.0:25", ("0.0.0.0", 25)),  # noqa: S104 - a text
        (network_values.listener, "[::1]:2525", ("::1", 2525)),
        (network_values.listener, "[0:0::0]:2525", ("::", 2525)),
        (network_values.listener, "localhost:2525", ("127.0.0.1", 2525)),
        (network_values.listener, "127.0.0.1:0", ("127.0.0.1", 0)),
        (network_values.nameserver, "127.0.0.1:5353", ("127.0.0.1", 5353)),
        (network_values.nameserver, "192.0.2.53", ("192.0.2.53", 53)),
        (network_values.nameserver, "[::1]", ("::1", 53)),
        (network_values.network, "192.0.2.0/24", ip_network("192.0.2.0/24")),
        (network_values.network, "192.0.2.1", ip_network("192.0.2.1/32")),
        (network_values.network, "::1", ip_network("::1/128")),
        (network_values.host_name, "Relay.Example.ORG", "relay.example.org"),
        (network_values.host_name, "bücher.test", "xn--bcher-kva.test"),
        (network_values.domain_pattern, "*", "*"),
        (network_values.domain_pattern, "Example.ORG", "example.org"),
        (network_values.domain_pattern, "*.Example.ORG", "*.example.org"),
        (network_values.domain_pattern, "*.bücher.test", "*.xn--bcher-kva.test"),
        (network_values.domain_pattern, "localhost", "localhost"),
        (network_values.next_hop, "ISP.example", NextHop("isp.example")),
        (network_values.next_hop, "isp.example:26", NextHop("isp.example", 26)),
        (network_values.next_hop, "[Out.ISP.example]", NextHop("out.isp.example", by_mx=False)),
        (
            network_values.next_hop,
            "[out.isp.example]:587",
            NextHop("out.isp.example", 587, by_mx=False),
        ),
        (network_values.next_hop, "[192.0.2.1]:65535", NextHop("[192.0.2.1]", 65535, by_mx=False)),
        (
            network_values.next_hop,
            "[2001:DB8::1]:25",
            NextHop("[IPv6:2001:db8::1]", 25, by_mx=False),
        ),
        (network_values.next_hop, "[ipv6:::1]", NextHop("[IPv6:::1]", by_mx=False)),
        (network_values.mailbox, "Post.Master@Example.org", "Post.Master@Example.org"),
        *(
            (network_values.webhook, one, one)
            for one in (
                "https://chat.example.org",
                "https://joe:s%40x@chat.example.org:8443/hooks/a?b=c&d",
                "https://[2001:db8::1]/x",
                "https://192.0.2.1?x",
                "http://127.0.0.1:8080/",
                "http://[::1]:8080/",
                "http://localhost/x",
            )
        ),
    ],
)
def test_good(parse: Callable[[object], object], written: object, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written", "allowed"),
    [
        *(
            (network_values.webhook, one, "https://")
            for one in (
                "",
                1,
                "ftp://example.org/",
                "https://",
                "https:///x",
                "https://a..b/",
                "https://u:p@/x",
                "https://example.org:0/",
                "https://example.org:65536/",
                "https://example.org/a b",
                "https://example.org/\n",
                "https://example.org/#x",
                "https://example.org/\u00e9",
                "https://[::g]/",
                "http://example.org/",
                "http://192.0.2.1/",
                "http://127.0.0.1.example.org/",
                "http://127.0.0.1@example.org/",
            )
        ),
        (network_values.listener, "127.0.0.1", "an address and a port"),
        (network_values.listener, ":2525", "an address and a port"),
        (network_values.listener, "::1:2525", '"[::1]:2525"'),
        (network_values.listener, "127.0.0.1:65536", "an address and a port"),
        (network_values.listener, "127.0.0.256:25", "an address and a port"),
        (network_values.listener, "[127.0.0.1]:x", "an address and a port"),
        (network_values.listener, "relay.example.org:25", "an address and a port"),
        (network_values.listener, 2525, "an address and a port"),
        *(
            (network_values.domain_pattern, written, '"*.example.org" for all below it')
            for written in ["", "*.", "**", "*example.org", "*.*.a.test", ".a.test", "a.*", "[::1]"]
        ),
        (network_values.domain_pattern, ["a.test"], "must be a domain"),
        *(
            (network_values.next_hop, written, '"[smtp.example.org]:587"')
            for written in ["", "[]", "[a.test", "a.test]", "[[a.test]]", "a.test:", "a.test:0"]
        ),
        *(
            (network_values.next_hop, written, '"[192.0.2.1]:25"')
            for written in ["192.0.2.1", "::1", "[fe80::1%eth0]", "[192.0.2]", "a.test:65536"]
        ),
        (network_values.next_hop, "smtp://a.test", "a host in brackets"),
        (network_values.next_hop, "a.test:587:588", "a host in brackets"),
        (network_values.next_hop, "a.test, b.test", "a host in brackets"),
        (network_values.next_hop, "a.test:\u0665", "a host in brackets"),
        (network_values.next_hop, 25, "a host in brackets"),
        (network_values.nameserver, "127.0.0.1:0", "an address"),
        (network_values.nameserver, "dns.example.org", "an address"),
        (network_values.nameserver, "::1", '"[::1]"'),
        (network_values.network, "192.0.2.1/24", "has host bits set"),
        (network_values.network, "192.0.2.0/33", "must be a network"),
        (network_values.network, "all", "must be a network"),
        (network_values.network, 5, "must be a network"),
        (network_values.host_name, "localhost", '"relay.example.org"'),
        (network_values.host_name, "relay_1.example.org", '"relay.example.org"'),
        (network_values.host_name, "[127.0.0.1]", '"relay.example.org"'),
        (network_values.host_name, "", '"relay.example.org"'),
        (network_values.proxy, "https://proxy.d.test", "http://HOST:PORT"),
        (network_values.proxy, "http://me:secret@proxy.d.test:1", "without a user name"),
        (network_values.proxy, "http://proxy.d.test:65536", "http://HOST:PORT"),
        (network_values.proxy, "proxy.d.test:3128", "http://HOST:PORT"),
    ],
)
def test_bad(parse: Callable[[object], object], written: object, allowed: str) -> None:
    words = refusal(parse, written) or "taken"
    assert words.startswith("must be ")
    assert allowed in words


@given(ANYTHING, st.sampled_from(PARSERS))
def test_nonsense_is_refused_in_words(written: object, parse: Callable[[object], object]) -> None:
    words = refusal(parse, written)
    assert words is None or words.startswith("must be ")
