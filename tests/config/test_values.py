"""What a setting may look like: tables of good and bad values."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import values
from relay.delivery.next_hop import NextHop

WORD = values.one_of("encrypt", "verify")
SMALL = values.whole(1, 9)
PARSERS = [
    values.duration,
    values.duration_or_zero,
    values.duration_or_never,
    values.message_size,
    values.listener,
    values.nameserver,
    values.network,
    values.host_name,
    values.domain_pattern,
    values.next_hop,
    values.proxy,
    values.mailbox,
    values.storage_url,
    values.path,
    WORD,
    SMALL,
]


@pytest.mark.parametrize(
    ("parse", "written", "value"),
    [
        (values.proxy, "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        (values.proxy, "http://[::1]:3128/", "http://[::1]:3128/"),
        (values.proxy, "http://proxy.d.test", "http://proxy.d.test"),
        (values.duration, "30s", 30.0),
        (values.duration, "5m", 300.0),
        (values.duration, "4h", 14400.0),
        (values.duration, "5d", 432000.0),
        (values.duration, "3650d", 315360000.0),
        (values.duration_or_zero, "0s", 0.0),
        (values.duration_or_never, "never", None),
        (values.duration_or_never, "4h", 14400.0),
        (values.message_size, 1000, 1000),
        (values.message_size, "1000", 1000),
        (values.message_size, "64KiB", 65536),
        (values.message_size, "50MiB", 52428800),
        (values.listener, "127.0.0.1:2525", ("127.0.0.1", 2525)),
        (values.listener, "0.0.0.0:25", ("0.0.0.0", 25)),  # noqa: S104 - a text
        (values.listener, "[::1]:2525", ("::1", 2525)),
        (values.listener, "[0:0::0]:2525", ("::", 2525)),
        (values.listener, "localhost:2525", ("127.0.0.1", 2525)),
        (values.listener, "127.0.0.1:0", ("127.0.0.1", 0)),
        (values.nameserver, "127.0.0.1:5353", ("127.0.0.1", 5353)),
        (values.nameserver, "192.0.2.53", ("192.0.2.53", 53)),
        (values.nameserver, "[::1]", ("::1", 53)),
        (values.network, "192.0.2.0/24", ip_network("192.0.2.0/24")),
        (values.network, "192.0.2.1", ip_network("192.0.2.1/32")),
        (values.network, "::1", ip_network("::1/128")),
        (values.host_name, "Relay.Example.ORG", "relay.example.org"),
        (values.host_name, "bücher.test", "xn--bcher-kva.test"),
        (values.domain_pattern, "*", "*"),
        (values.domain_pattern, "Example.ORG", "example.org"),
        (values.domain_pattern, "*.Example.ORG", "*.example.org"),
        (values.domain_pattern, "*.bücher.test", "*.xn--bcher-kva.test"),
        (values.domain_pattern, "localhost", "localhost"),
        (values.next_hop, "ISP.example", NextHop("isp.example")),
        (values.next_hop, "isp.example:26", NextHop("isp.example", 26)),
        (values.next_hop, "[Out.ISP.example]", NextHop("out.isp.example", by_mx=False)),
        (values.next_hop, "[out.isp.example]:587", NextHop("out.isp.example", 587, by_mx=False)),
        (values.next_hop, "[192.0.2.1]:65535", NextHop("[192.0.2.1]", 65535, by_mx=False)),
        (values.next_hop, "[2001:DB8::1]:25", NextHop("[IPv6:2001:db8::1]", 25, by_mx=False)),
        (values.next_hop, "[ipv6:::1]", NextHop("[IPv6:::1]", by_mx=False)),
        (values.mailbox, "Post.Master@Example.org", "Post.Master@Example.org"),
        (values.storage_url, "sqlite:./var", "sqlite:./var"),
        (values.size, 0, 0),
        (values.rate, "10/s", 10.0),
        (values.rate, "90/m", 1.5),
        (values.rate, "3600/h", 1.0),
        (values.size, "64MiB", 2**26),
        (values.path, "ca.pem", Path("ca.pem")),
        (WORD, "verify", "verify"),
        (SMALL, 9, 9),
    ],
)
def test_good(parse: Callable[[object], object], written: object, value: object) -> None:
    assert parse(written) == value


@pytest.mark.parametrize(
    ("parse", "written", "allowed"),
    [
        (values.size, "64 MiB", '"50MiB"'),
        (values.size, -1, '"50MiB"'),
        (values.rate, "0/s", '"100/m"'),
        (values.rate, "1 / s", '"100/m"'),
        (values.rate, 10, '"100/m"'),
        (values.duration, "90", '"30s", "5m", "4h" or "5d"'),
        (values.duration, 90, '"30s", "5m", "4h" or "5d"'),
        (values.duration, "5 m", '"5m"'),
        (values.duration, "-5m", '"5m"'),
        (values.duration, "1.5h", '"5m"'),
        (values.duration, "5M", '"5m"'),
        (values.duration, "5m\n", '"5m"'),
        (values.duration, "\u0665m", '"5m"'),
        (values.duration, "0s", 'longer than "0s"'),
        (values.duration, "3651d", 'at most "3650d"'),
        (values.duration_or_never, "Never", 'or "never"'),
        (values.duration_or_never, "0s", 'or "never"'),
        (values.message_size, 0, "size in bytes"),
        (values.message_size, -1, "size in bytes"),
        (values.message_size, True, "size in bytes"),
        (values.message_size, 1.5, "size in bytes"),
        (values.message_size, "50 MB", '"50MiB"'),
        (values.message_size, "1GiB", '"900MiB"'),
        (values.listener, "127.0.0.1", "an address and a port"),
        (values.listener, ":2525", "an address and a port"),
        (values.listener, "::1:2525", '"[::1]:2525"'),
        (values.listener, "127.0.0.1:65536", "an address and a port"),
        (values.listener, "127.0.0.256:25", "an address and a port"),
        (values.listener, "[127.0.0.1]:x", "an address and a port"),
        (values.listener, "relay.example.org:25", "an address and a port"),
        (values.listener, 2525, "an address and a port"),
        *(
            (values.domain_pattern, written, '"*.example.org" for all below it')
            for written in ["", "*.", "**", "*example.org", "*.*.a.test", ".a.test", "a.*", "[::1]"]
        ),
        (values.domain_pattern, ["a.test"], "must be a domain"),
        *(
            (values.next_hop, written, '"[smtp.example.org]:587"')
            for written in ["", "[]", "[a.test", "a.test]", "[[a.test]]", "a.test:", "a.test:0"]
        ),
        *(
            (values.next_hop, written, '"[192.0.2.1]:25"')
            for written in ["192.0.2.1", "::1", "[fe80::1%eth0]", "[192.0.2]", "a.test:65536"]
        ),
        (values.next_hop, "smtp://a.test", "a host in brackets"),
        (values.next_hop, "a.test:587:588", "a host in brackets"),
        (values.next_hop, "a.test, b.test", "a host in brackets"),
        (values.next_hop, "a.test:\u0665", "a host in brackets"),
        (values.next_hop, 25, "a host in brackets"),
        (values.nameserver, "127.0.0.1:0", "an address"),
        (values.nameserver, "dns.example.org", "an address"),
        (values.nameserver, "::1", '"[::1]"'),
        (values.network, "192.0.2.1/24", "has host bits set"),
        (values.network, "192.0.2.0/33", "must be a network"),
        (values.network, "all", "must be a network"),
        (values.network, 5, "must be a network"),
        (values.host_name, "localhost", '"relay.example.org"'),
        (values.host_name, "relay_1.example.org", '"relay.example.org"'),
        (values.host_name, "[127.0.0.1]", '"relay.example.org"'),
        (values.host_name, "", '"relay.example.org"'),
        (values.storage_url, "./var", '"sqlite:./var"'),
        (values.storage_url, "sqlite:", '"sqlite:./var"'),
        (values.storage_url, "postgresql://db/relay", '"sqlite:./var"'),
        (values.path, "", "path of a file"),
        (values.path, "a\0b", "path of a file"),
        (WORD, "Verify", '"encrypt" or "verify"'),
        (WORD, True, '"encrypt" or "verify"'),
        (SMALL, 10, "from 1 to 9"),
        (SMALL, "5", "from 1 to 9"),
        (SMALL, True, "from 1 to 9"),
        (values.whole(0), -1, "0 or more"),
        (values.proxy, "https://proxy.d.test", "http://HOST:PORT"),
        (values.proxy, "http://me:secret@proxy.d.test:1", "without a user name"),
        (values.proxy, "http://proxy.d.test:65536", "http://HOST:PORT"),
        (values.proxy, "proxy.d.test:3128", "http://HOST:PORT"),
    ],
)
def test_bad(parse: Callable[[object], object], written: object, allowed: str) -> None:
    with pytest.raises(ValueError, match=r"^must be ") as refusal:
        parse(written)
    assert allowed in str(refusal.value)


ANYTHING: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.builds(list)
)


@given(ANYTHING, st.sampled_from(PARSERS))
def test_nonsense_is_refused_in_words(written: object, parse: Callable[[object], object]) -> None:
    try:
        parse(written)
    except ValueError as refusal:
        words = str(refusal)
    else:
        return
    assert words.startswith("must be ")
