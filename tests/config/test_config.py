"""Whole files: found, read, every fault told at once; the example and the documentation agree."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from relay import config
from relay.clock import SystemClock
from relay.config import sections
from relay.config.rule import Rule
from relay.config.settings import Settings, machine_name
from relay.delivery.next_hop import NextHop
from relay.errors import ConfigError
from relay.lab.ca import CertificateAuthority

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"
SECTIONS: dict[str, Any] = {
    field.name: field.metadata.get("kind") or type(field.default)
    for field in fields(Settings)
    if field.name != "directory"
}
TABLES = {field.name for field in fields(Settings) if "kind" in field.metadata}
NOW = 1_800_000_000.0
NO_PEM = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, the current one, with nothing named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELAY_CONFIG", raising=False)
    return tmp_path


def written(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text(text, "utf-8")
    return path


def problems(directory: Path, text: str) -> list[str]:
    path = written(directory, text)
    with pytest.raises(ConfigError) as refusal:
        config.load(path)
    assert all(problem.startswith(f"{path}: ") for problem in refusal.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in refusal.value.problems]


def test_an_empty_file_means_the_defaults(here: Path) -> None:
    settings = config.load(written(here, ""))
    assert settings == Settings(directory=here)
    assert settings.server.listen == (("127.0.0.1", 2525),)
    assert settings.server.allow == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert settings.queue.retry == (60, 300, 900, 1800, 3600, 7200, 14400)
    assert settings.storage_directory == here / "var"
    assert settings.violation_log == here / "var/violations.jsonl"
    assert settings.ca_file is None


def certified(directory: Path) -> None:
    """A certificate and its key, as operators have them."""
    ca = CertificateAuthority(directory / "ca", SystemClock().now())
    pem = ca.issue(["relay.example.org"]).path.read_bytes()
    key, end, certificate = pem.partition(b"-----END PRIVATE KEY-----\n")
    (directory / "relay.key").write_bytes(key + end)
    (directory / "relay.key").chmod(0o600)
    (directory / "relay.pem").write_bytes(certificate)


def test_every_key(here: Path) -> None:
    certified(here)
    (here / "users").touch()
    settings = config.load(
        written(
            here,
            """
            [server]
            listen = ["[::1]:25", "192.0.2.1:0"]
            listen_tls = ["[::1]:465"]
            tls_cert = "relay.pem"
            tls_key = "relay.key"
            hostname = "relay.example.org"
            allow = ["10.0.0.0/8"]
            users = "users"
            max_message_size = "1MiB"
            max_recipients = 100
            max_received = 50
            bare_newlines = "normalise"
            max_connections = 10
            max_connections_per_client = 1
            timeout = "1m"
            message_timeout = "2h"
            workers = 0
            loop = "asyncio"
            stop_timeout = "0s"
            [storage]
            url = "sqlite:/spool"
            reserve = "1MiB"
            [queue]
            retry = ["1s"]
            lifetime = "1h"
            warn_after = "never"
            warn_after_policy = "30m"
            watch = "5s"
            [dns]
            nameservers = ["127.0.0.1:5353"]
            timeout = "1s"
            [tls]
            testing = "verify"
            no_policy = "encrypt"
            [mta_sts]
            fetch_timeout = "5s"
            https_port = 8443
            proxy = "http://127.0.0.1:3128"
            [delivery]
            port = 2526
            allow_internal = ["127.0.0.0/8"]
            idle_timeout = "0s"
            [[route]]
            domain = "*.Example.org"
            next_hop = "[out.isp.example]:587"
            tls = "encrypt"
            [[route]]
            domain = "*"
            next_hop = "isp.example"
            [violations]
            log = "/log/violations.jsonl"
            keep = "30d"
            """,
        )
    )
    assert settings == Settings(
        server=sections.Server(
            listen=(("::1", 25), ("192.0.2.1", 0)),
            listen_tls=(("::1", 465),),
            tls_cert=Path("relay.pem"),
            tls_key=Path("relay.key"),
            hostname="relay.example.org",
            allow=(ip_network("10.0.0.0/8"),),
            users=Path("users"),
            max_message_size=2**20,
            max_recipients=100,
            max_received=50,
            bare_newlines="normalise",
            max_connections=10,
            max_connections_per_client=1,
            timeout=60,
            message_timeout=7200,
            workers=0,
            loop="asyncio",
            stop_timeout=0,
        ),
        storage=sections.Storage(url="sqlite:/spool", reserve=2**20),
        queue=sections.Queue(
            retry=(1,), lifetime=3600, warn_after=None, warn_after_policy=1800, watch=5
        ),
        dns=sections.Dns(nameservers=(("127.0.0.1", 5353),), timeout=1),
        tls=sections.Tls(testing="verify", no_policy="encrypt"),
        mta_sts=sections.MtaSts(fetch_timeout=5, https_port=8443, proxy="http://127.0.0.1:3128"),
        delivery=sections.Delivery(
            port=2526, allow_internal=(ip_network("127.0.0.0/8"),), idle_timeout=0
        ),
        route=(
            sections.Route(
                domain="*.example.org",
                next_hop=NextHop("out.isp.example", 587, by_mx=False),
                tls="encrypt",
            ),
            sections.Route(domain="*", next_hop=NextHop("isp.example"), tls="verify"),
        ),
        violations=sections.Violations(log=Path("/log/violations.jsonl"), keep=2592000.0),
        directory=here,
    )
    assert settings.storage_directory == Path("/spool")
    assert settings.violation_log == Path("/log/violations.jsonl")
    assert settings.hostname == "relay.example.org"
    assert config.warnings(settings, NOW) == []


def test_every_fault_is_told_at_once(here: Path) -> None:
    text = """
    dns = 5
    [server]
    listen = ["127.0.0.1", "x:1"]
    lisen = 3
    workers = "a"
    [queue]
    retry = ["1m", "5x"]
    [tls]
    ca_file = "missing.pem"
    [delivry]
    port = 25
    [delivery]
    port = 70000
    allow_internal = "10.0.0.0/8"
    """
    endpoint = 'must be an address and a port such as "127.0.0.1:2525" or "[::1]:2525"'
    assert sorted(problems(here, text)) == sorted(
        [
            "dns: must be a section, [dns]",
            f"server.listen[0]: {endpoint}, not '127.0.0.1'",
            f"server.listen[1]: {endpoint}, not 'x:1'",
            "server.lisen: no such key; did you mean listen?",
            "server.workers: must be a whole number, 0 or more, not 'a'",
            'queue.retry[1]: must be a duration such as "30s", "5m", "4h" or "5d", not \'5x\'',
            f"tls.ca_file: {here}/missing.pem cannot be read: No such file or directory",
            "delivry: no such section; did you mean delivery?",
            "delivery.port: must be a whole number, from 1 to 65535, not 70000",
            "delivery.allow_internal: must be a list, not '10.0.0.0/8'",
        ]
    )


def test_keys_that_contradict_are_told_beside_files_that_are_missing(here: Path) -> None:
    text = """
    [tls]
    ca_file = "missing.pem"
    [[route]]
    domain = "*"
    next_hop = "[smtp.isp.example]:587"
    tls = "encrypt"
    credentials = "missing.toml"
    """
    told = problems(here, text)
    assert [one.partition(":")[0] for one in told] == [
        "route[0].tls", "tls.ca_file", "route[0].credentials"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server]\nlisten = [\n\n}", "is not TOML: .*line 4"),
        ("[server]\nlisten = 1\nlisten = 2\n", "is not TOML: .*line 3"),
        ("a = " + "[" * 5000, "is not TOML: "),
        ("directory = '/'", "directory: no such section; known are server, storage"),
        ("[server]\ncolour = 1", "server.colour: no such key; known are listen, listen_tls"),
        ("[[server]]\nlisten = []", r"server: must be a section, \[server\]"),
        ("[server]\nlisten = []", "server.listen: must be a list of at least 1"),
        ("[queue]\nretry = []", "queue.retry: must be a list of at least 1"),
        ("[dns]\nnameservers = []", "dns.nameservers: must be a list of at least 1"),
        ("[server]\nmax_recipients = 99", "server.max_recipients: must be .* 100 or more"),
        ("[server]\nloop = 'trio'", 'server.loop: must be "auto" or "asyncio" or "uvloop"'),
        ("[server]\nbare_newlines = 'keep'", 'server.bare_newlines: must be "refuse" or "norm'),
        ("[storage]\nurl = 'postgresql://x'", 'storage.url: must be "sqlite:" and a directory'),
        ("[storage]\nurl = 'sqlite:file'", "storage.url: .*/file is a file, not a directory"),
        ("[violations]\nlog = '.'", "violations.log: .* is a directory, not a file"),
        ("[tls]\nca_file = '.'", "tls.ca_file: .* cannot be read: Is a directory"),
        ("[tls]\nca_file = 'file'", "tls.ca_file: .*/file holds no PEM certificate"),
        ("[tls]\nca_file = 'broken.pem'", "tls.ca_file: .*/broken.pem holds a broken PEM cert"),
        ("[route]\ndomain = '*'", r"route: must be sections, \[\[route\]\]"),
        ("route = [1]", r"route: must be sections, \[\[route\]\]"),
        (
            "[server]\nlisten = ['127.0.0.1:25', '127.0.0.1:25']",
            "server.listen: 127.0.0.1 port 25 is named twice",
        ),
        (
            "[server]\nlisten = ['127.0.0.1:25']\nlisten_tls = ['127.0.0.1:25']\n"
            "tls_cert = 'relay.pem'\ntls_key = 'relay.key'",
            "server.listen: 127.0.0.1 port 25 is named twice",
        ),
        ("[server]\nlisten_tls = ['[::1]:465']", "server.listen_tls: needs a certificate, server"),
        ("[server]\nusers = 'users'", "server.users: needs a certificate, server.tls_cert"),
        (
            "[server]\nusers = 'file'\ntls_cert = 'relay.pem'\ntls_key = 'relay.key'",
            "server.users: .*/file line 1 is not the NAME:HASH",
        ),
        ("[server]\ntls_key = 'relay.key'", "server.tls_key: needs a certificate, server.tls_cert"),
        ("[server]\ntls_cert = 'no.pem'", "server.tls_cert: .*/no.pem cannot be read: No such"),
        ("[server]\ntls_cert = 'relay.pem'", "server.tls_key: .*/relay.pem holds no PEM private"),
        ("[server]\ntls_cert = 'relay.pem'\ntls_key = 'file'", "server.tls_key: .*/file holds no"),
        ("[alert]\ncommand = []", "alert.command: must be a list of at least 1$"),
        ("[alert]\ncommand = 'tell s3cret'", "alert.command: must be a list of at least 1$"),
        ("[alert]\ncommand = ['/no/such']", "alert.command: there is no program /no/such$"),
        ("[alert]\ncommand = ['no-such-program']", "alert.command: there is no program no-such"),
        ("[alert]\ncommand = ['./file']", "alert.command: .*/file is no program that may be run"),
        ("[alert]\ncommand = ['true', '']", r"alert.command\[1\]: must be a text that is not emp"),
        ("[alert]\nwebhook = 'htps://a:s3cret@b/'", r"alert.webhook: must be a URL [^,]*$"),
        ("[alert]\nwebhook = 'http://a:s3cret@b/'", r"alert.webhook: must be an https:[^,]*$"),
        pytest.param(
            "[server]\nlisten = ['0.0.0.0:25']\nallow = ['0.0.0.0/0']",
            "server.allow: 0.0.0.0/0 .* an open relay",
            id="SRV-29",
        ),
        pytest.param(
            "[server]\nlisten = ['127.0.0.1:25', '[::]:25']\nallow = ['::/1', '8000::/1']",
            "server.allow: ::/0 .* an open relay",
            id="SRV-29: in halves",
        ),
    ],
)
def test_one_fault(here: Path, text: str, problem: str) -> None:
    (here / "file").write_text("nothing")
    (here / "broken.pem").write_text(NO_PEM)
    certified(here)
    [told] = problems(here, text)
    assert re.match(problem, told), told
    assert "s3cret" not in told


def test_a_file_that_cannot_be_read(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing.toml: cannot be read: No such file"):
        config.load("nothing.toml")
    (here / "latin").write_bytes(b"# \xfc")
    with pytest.raises(ConfigError, match=r"latin: is not TOML: "):
        config.load("latin")


def test_a_key_for_everybody_to_read(here: Path) -> None:
    certified(here)
    (here / "relay.key").chmod(0o644)
    text = "[server]\nhostname = 'a.test'\ntls_cert = 'relay.pem'\ntls_key = 'relay.key'"
    [told] = config.warnings(config.load(written(here, text)), NOW)
    assert told == f"server.tls_key: everybody on this machine may read {here}/relay.key"


def test_an_open_relay_on_loopback_is_one_s_own_affair(here: Path) -> None:
    text = "[server]\nlisten = ['127.0.0.1:25']\nallow = ['0.0.0.0/0']\nhostname = 'a.test'"
    warnings = config.warnings(config.load(written(here, text)), NOW)
    assert warnings == ["server.allow: 0.0.0.0/0 are public addresses: all of them may relay mail"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[server]\nmax_message_size = 1000\nhostname = 'a.test'", "server.max_message_size: "),
        ("[queue]\nlifetime = '4h'\n[server]\nhostname = 'a.test'", "queue.warn_after: "),
        (
            "[server]\nusers = 'none'\nhostname = 'a.test'\ntls_cert = 'relay.pem'\n"
            "tls_key = 'relay.key'",
            "server.users: .*/none is not there yet",
        ),
        ("[server]\nallow = ['8.8.8.0/24']\nhostname = 'a.test'", "server.allow: 8.8.8.0/24 "),
    ],
)
def test_warnings(here: Path, text: str, warning: str) -> None:
    certified(here)
    [told] = config.warnings(config.load(written(here, text)), NOW)
    assert re.match(warning, told)


@pytest.mark.parametrize(
    ("machine", "hostname"),
    [
        ("Relay.Example.ORG", "relay.example.org"),
        pytest.param("box", r"\[127\.0\.0\.7\]", id="SND-08: bare"),
        pytest.param("localhost", r"\[127\.0\.0\.7\]", id="SND-08: localhost"),
        pytest.param("localhost.localdomain", r"\[127\.0\.0\.7\]", id="SND-08: its kin"),
        pytest.param("my_box.lan", r"\[127\.0\.0\.7\]", id="SND-08: no domain"),
    ],
)
def test_hostname_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, machine: str, hostname: str
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: machine)
    monkeypatch.setattr("socket.gethostbyname", lambda _: "127.0.0.7")
    machine_name.cache_clear()
    settings = Settings()
    assert re.fullmatch(hostname, settings.hostname)
    told = [text for text in config.warnings(settings, NOW) if text.startswith("server.hostname: ")]
    assert len(told) == settings.hostname.startswith("[")
    machine_name.cache_clear()


def test_find(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = written(here, ""), here / "other.toml"
    other.touch()
    assert config.find(None).resolve() == own
    monkeypatch.setenv("RELAY_CONFIG", str(other))
    assert config.find(None) == other
    assert config.find(str(own)) == own


def test_find_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_PLACES", (Path("config.toml"), here / "etc/config.toml"))
    with pytest.raises(ConfigError, match=r"-c FILE .* \$RELAY_CONFIG, .*/etc/relay/config.toml"):
        config.find(None)
    with pytest.raises(ConfigError, match=r"^x.toml: no such configuration file \(named by -c\)"):
        config.find("x.toml")
    monkeypatch.setenv("RELAY_CONFIG", "y.toml")
    with pytest.raises(ConfigError, match=r"^y.toml: .* \(named by \$RELAY_CONFIG\)"):
        config.find(None)


def test_the_example_shows_every_key_with_its_default() -> None:
    # a key without a usable default is commented out
    text = EXAMPLE.read_text("utf-8")
    shown = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = |\[\[)", "", text))
    # of sections that there may be several of, one is shown
    shown |= {name: keys[0] for name, keys in shown.items() if isinstance(keys, list)}
    active = shown | tomllib.loads(text)
    rules = {
        name: {key.name: key.metadata["rule"] for key in fields(kind)}
        for name, kind in SECTIONS.items()
    }
    assert {name: list(keys) for name, keys in shown.items()} == {
        name: list(keys) for name, keys in rules.items()
    }
    for name, keys in rules.items():
        for key, rule in keys.items():
            if rule.written or name not in TABLES:
                assert active[name].get(key) == rule.written, f"{name}.{key}"
            assert_readable(rule, shown[name][key])


def assert_readable(rule: Rule, value: Any) -> None:
    for item in [value] if rule.least is None else value:
        rule.parse(item)


def test_the_example_runs_as_it_is() -> None:
    assert config.load(EXAMPLE) == Settings(directory=ROOT)


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text("utf-8")
    documented = re.findall(r"(?m)^\| `(\w+)` \|", text)
    assert documented == [key.name for kind in SECTIONS.values() for key in fields(kind)]


# Reading commands start in under 150 ms; these packages alone would take that
def test_settings_load_without_the_network() -> None:
    heavy = ["asyncio", "ssl", "socket", "pydantic", "aiosmtpd", "aiosmtplib", "dns", "httpx"]
    code = (
        f"import sys; from relay import config; config.load({str(EXAMPLE)!r});"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout == b"[]\n"
