"""Routes in the configuration: what becomes of them, and every fault with its key."""

import re
from pathlib import Path

import pytest

from relay import config
from relay.delivery.credentials import Credentials
from relay.delivery.next_hop import NextHop
from relay.delivery.tls import Floors
from relay.errors import ConfigError

NOW = 1_800_000_000.0
ROUTES = """
[[route]]
domain = "*"
next_hop = "[out.isp.test]:587"
credentials = "isp.toml"
[[route]]
domain = "d.test"
next_hop = "d.test"
tls = "opportunistic"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with credentials."""
    path = tmp_path / "isp.toml"
    path.touch(0o600)
    path.write_text('username = "me"\npassword = "s3cr3t"\n')
    return tmp_path


def load(directory: Path, text: str) -> config.Settings:
    path = directory / "config.toml"
    path.write_text(text, "utf-8")
    return config.load(path)


def test_next_hops(here: Path) -> None:
    settings = load(here, ROUTES)
    verify, clear = Floors("verify", "verify"), Floors("opportunistic", "opportunistic")
    me = Credentials("me", "s3cr3t")
    assert config.next_hops(settings) == {
        "*": NextHop(
            "out.isp.test", 587, by_mx=False, floors=verify, identity=me, route="route[0]"
        ),
        "d.test": NextHop("d.test", floors=clear, route="route[1]"),
    }
    assert "s3cr3t" not in repr(settings)


def test_route_of(here: Path) -> None:
    settings = load(here, ROUTES)
    assert settings.route_of("d.test") is settings.route[1]
    assert settings.route_of("e.test") is settings.route[0]
    assert config.Settings().route_of("d.test") is None


def test_credentials_that_have_gone(here: Path) -> None:
    settings = load(here, ROUTES)
    (here / "isp.toml").unlink()
    with pytest.raises(ConfigError, match=r"^route\[0\].credentials: .*/isp.toml cannot be read"):
        config.next_hops(settings)


def route(**keys: str) -> str:
    written = {"domain": "*", "next_hop": "[out.isp.test]"} | keys
    return "[[route]]\n" + "".join(f'{key} = "{value}"\n' for key, value in written.items())


FAULTS = [
    ('[[route]]\ndomain = "*"\n', r"route\[0\].next_hop: is missing"),
    (route(domain="*.*"), r"route\[0\].domain: must be a domain .*, not '\*.\*'"),
    (route(next_hop="192.0.2.1"), r"route\[0\].next_hop: must be a host in brackets"),
    (route(port="25"), r"route\[0\].port: no such key; known are domain, next_hop, tls, cred"),
    (route(tls="none"), r'route\[0\].tls: must be "opportunistic" or "encrypt" or "verify", not'),
    (
        route() + '[[route]]\ndomain = "*"\nnext_hop = "a b"\n',
        r"route\[1\].next_hop: must be a host in brackets",
    ),
    (
        route(domain="d.test") + route(domain="D.test"),
        r"route\[1\].domain: d.test has a route already, route\[0\]",
    ),
    (
        route(tls="encrypt", credentials="isp.toml"),
        r'route\[0\].tls: must be "verify" where there are credentials, not \'encrypt\'',
    ),
    (
        route() + route(domain="d.test", credentials="no.toml"),
        r"route\[1\].credentials: .*/no.toml cannot be read: No such file",
    ),
    (
        '[[route]]\ndomain = "*"\nnext_hop = "a.test"\ncredentials = { password = "s3cr3t" }\n',
        r"route\[0\].credentials: must be the path of a file, .*, not a table$",
    ),
    *(
        (
            f"[server]\nlisten = ['{listen}']\nhostname = 'relay.test'\nallow = []\n"
            f"[delivery]\nport = 2525\n{route(next_hop=next_hop)}",
            r"route\[0\].next_hop: .* is this relay itself: mail would loop",
        )
        for listen, next_hop in [
            ("127.0.0.1:2525", "[127.0.0.1]:2525"),
            ("127.0.0.1:2525", "[127.0.0.1]"),
            ("0.0.0.0:2525", "[127.0.0.9]:2525"),
            ("[::1]:2525", "[::1]:2525"),
            ("127.0.0.1:25", "[relay.test]:26"),
        ]
    ),
]


@pytest.mark.parametrize(("text", "problem"), FAULTS)
def test_fault(here: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(here, text)
    [told] = refusal.value.problems
    assert re.search(rf"config.toml: {problem}", told), told
    assert "s3cr3t" not in told


def test_a_neighbour_is_no_loop(here: Path) -> None:
    text = "[server]\nlisten = ['127.0.0.1:2525']\nhostname = 'relay.test'\n"
    settings = load(here, text + route(next_hop="[127.0.0.1]:10025"))
    assert settings.route[0].next_hop.port == 10025
    assert config.warnings(settings, NOW) == []


def test_tls_from_the_start_is_warned_of(here: Path) -> None:
    settings = load(here, "[server]\nhostname = 'a.test'\n" + route(next_hop="[out.isp.test]:465"))
    [told] = config.warnings(settings, NOW)
    assert told.startswith("route[0].next_hop: port 465 is ")
