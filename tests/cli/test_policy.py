"""`relay policy DOMAIN` as a user types it: what is shown, to people and to programs."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.lab.world import World
from tests.cli.process import Run, relay


async def policy(path: Path, *words: str) -> Run:
    """`relay policy` with these words, while the world answers."""
    return await asyncio.to_thread(relay, "policy", *words, "-c", path)


async def test_a_policy_with_its_hosts_and_nothing_to_remark(world: World, path: Path) -> None:
    await world.mx_host("mx.d.test")
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce", patterns=["*.d.test"])
    run = await policy(path, "D.test.")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0] == "d.test: mode enforce"
    assert "fetched now, expires in 7 days" in lines[1]
    assert lines[-2:] == [
        "  hosts    10  mx.d.test  allowed by *.d.test",
        "  remarks  none",
    ]
    run = await policy(path, "d.test")
    assert "from the cache, fetched" in run.stdout
    assert len(world.web.snis) == 1


async def test_sts_80_what_is_sloppy_is_told(world: World, path: Path) -> None:
    await world.mx_host("real.test")
    world.dns.add("mx.d.test", "CNAME", "real.test.")
    world.domain("d.test", mx=[(10, "mx.d.test"), (20, "other.test")])
    body = "version: STSv1\n\nmode: enforce\nmx: real.test\nmax_age: 60\n"
    world.policy_host("d.test", body)
    world.dns.add("_mta-sts.d.test", "TXT", "v=spf1 -all")
    run = await policy(path, "d.test")
    assert run.returncode == 0
    assert "10  mx.d.test   refused: no pattern covers it" in run.stdout
    for text in (
        "serious  the MX host mx.d.test is covered by no pattern",
        "serious  no MX host is left",
        "warning  line 2 of the policy: blank",
        "warning  max_age is 60 seconds",
        "warning  the MX host mx.d.test is an alias (CNAME) of real.test",
        "note     _mta-sts.d.test has a TXT record that is not for MTA-STS",
        "note     the pattern real.test matches no current MX host",
    ):
        assert text in run.stdout


async def test_sts_25_every_fault_of_a_void_policy_is_told(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")])
    body = "version: STSv1\nMode: enforce\nmx: mx.d.test\n\nmax_age: 86400\n"
    world.policy_host("d.test", body)
    run = await policy(path, "d.test")
    assert run.returncode == 3
    for text in (
        "d.test: no policy is in force",
        "serious  the policy's mode is missing",
        "warning  line 2 of the policy: 'Mode' is passed over, it is 'mode'",
        "warning  line 4 of the policy: blank",
    ):
        assert text in run.stdout


async def test_sts_11_delegation_is_told(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="testing")
    world.dns.remove("mta-sts.d.test", "A")
    world.dns.add("mta-sts.d.test", "CNAME", "web.prov.test.")
    world.dns.add("web.prov.test", "A", "127.0.0.1")
    world.dns.remove("_mta-sts.d.test", "TXT")
    world.dns.add("_mta-sts.d.test", "CNAME", "_mta-sts.prov.test.")
    world.dns.add("_mta-sts.prov.test", "TXT", "v=STSv1; id=1;")
    run = await policy(path, "d.test")
    assert "note     _mta-sts.d.test is an alias (CNAME) of _mta-sts.prov.test" in run.stdout
    assert "note     mta-sts.d.test is an alias (CNAME) of web.prov.test" in run.stdout


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0 .", "takes no mail (null MX)"),
        ("10 mx.d.test.", "10  mx.d.test  allowed, no policy asks for anything"),
    ],
)
async def test_a_domain_without_a_policy(world: World, path: Path, value: str, text: str) -> None:
    world.dns.add("d.test", "MX", value)
    run = await policy(path, "d.test")
    assert run.returncode == 0
    assert "d.test: publishes no MTA-STS policy" in run.stdout
    assert text in run.stdout


async def test_a_domain_that_does_not_exist(path: Path) -> None:
    run = await policy(path, "d.test")
    assert run.returncode == 0
    assert "the domain d.test does not exist" in run.stdout


async def test_json_is_the_documented_object_and_asks_for_no_hosts(
    world: World, path: Path
) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    for status in ("found", "renewed"):
        run = await policy(path, "--json", "d.test")
        assert (run.returncode, run.stderr, run.stdout.count("\n")) == (0, "", 1)
        shown = json.loads(run.stdout)
        assert shown["policy"].pop("expires").endswith("Z")
        assert shown == {
            "policy": {
                "id": "20260101",
                "version": "STSv1",
                "mode": "enforce",
                "mx": ["mx.d.test"],
                "maxAge": 604800,
            },
            "status": status,
        }
    assert ("d.test", "MX") not in world.dns.queries


async def test_refresh_fetches_now(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    await policy(path, "d.test", "--json")
    site = world.policy_host("d.test", "version: STSv1\nmode: none\nmax_age: 60\n")
    kept = await policy(path, "d.test", "--json")
    assert json.loads(kept.stdout)["policy"]["mode"] == "enforce"
    run = await policy(path, "d.test", "--json", "--refresh")
    assert json.loads(run.stdout)["policy"]["mode"] == "none"
    assert len(site.requests) == 2


async def test_sts_62_trouble_beside_a_cached_policy(world: World, path: Path) -> None:
    site = world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    assert site is not None
    await policy(path, "d.test")
    site.status = 503
    run = await policy(path, "d.test", "--refresh")
    assert run.returncode == 3
    assert "d.test: mode enforce" in run.stdout
    assert "answered 503 (http_status_503)" in run.stdout
    assert "allowed by mx.d.test" in run.stdout
    again = await policy(path, "d.test", "--offline", "--json")
    assert again.returncode == 3
    shown = json.loads(again.stdout)
    assert (shown["status"], shown["policy"]["mode"]) == ("errored", "enforce")
    assert shown["policy"]["error"]["code"] == "http_status_503"


async def test_offline_asks_nobody(world: World, path: Path) -> None:
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="testing")
    unknown = await policy(path, "d.test", "--offline")
    assert unknown.returncode == 0
    assert "nothing is cached" in unknown.stdout
    await policy(path, "d.test", "--json")
    asked = len(world.dns.queries)
    run = await policy(path, "d.test", "--offline")
    assert run.returncode == 0
    assert "d.test: mode testing" in run.stdout
    assert "from the cache alone, fetched" in run.stdout
    shown = await policy(path, "d.test", "--offline", "--json")
    assert json.loads(shown.stdout)["status"] == "renewed"
    assert len(world.dns.queries) == asked


def add_route(path: Path, next_hop: str, *keys: str) -> Path:
    rows = ["[[route]]", 'domain = "*.d.test"', f'next_hop = "{next_hop}"', *keys]
    route = "".join(f"{row}\n" for row in rows)
    path.write_text(path.read_text("utf-8") + route, "utf-8")
    return path


class TestRoutes:
    async def test_sts_14_the_policy_of_the_next_hop_holds(self, world: World, path: Path) -> None:
        world.domain("hop.test", mx=[(10, "mx.hop.test")], policy="enforce")
        run = await policy(add_route(path, "hop.test:587"), "a.d.test")
        assert run.returncode == 0
        assert run.stdout.splitlines()[:2] == [
            "mail for a.d.test goes to hop.test:587 (route for *.d.test): tls verify",
            "hop.test: mode enforce",
        ]
        assert "10  mx.hop.test  allowed by mx.hop.test" in run.stdout
        assert not [name for name, _ in world.dns.queries if "d.test" in name]

    async def test_a_next_hop_that_is_the_host(self, world: World, path: Path) -> None:
        world.policy_host("hop.test", "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 9\n")
        run = await policy(add_route(path, "[hop.test]"), "a.d.test")
        assert "0  hop.test  refused: no pattern covers it" in run.stdout

    @pytest.mark.parametrize(
        ("keys", "terms"),
        [
            ('tls = "encrypt"', "tls encrypt"),
            ('credentials = "isp.toml"', "tls verify, with a login"),
        ],
    )
    async def test_its_terms_are_told(
        self, world: World, path: Path, keys: str, terms: str
    ) -> None:
        secret = path.with_name("isp.toml")
        secret.touch(0o600)
        secret.write_text('username = "me"\npassword = "s3cr3t"\n', "utf-8")
        run = await policy(add_route(path, "[hop.test]", keys), "a.d.test", "--offline")
        assert run.stdout.splitlines()[0].endswith(f"(route for *.d.test): {terms}")
        assert "s3cr3t" not in run.stdout

    async def test_sts_15_an_address_has_no_policy(self, world: World, path: Path) -> None:
        run = await policy(add_route(path, "[192.0.2.1]"), "a.d.test")
        assert run.returncode == 0
        assert "[192.0.2.1]: an address has no MTA-STS policy" in run.stdout
        run = await policy(path, "a.d.test", "--json")
        assert json.loads(run.stdout)["status"] == "not_found"
        assert not world.dns.queries


@pytest.mark.parametrize(
    "domain",
    [
        "",
        " ",
        "not a domain",
        "me@d.test",
        ".",
        "d..test",
        "192.0.2.1",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "2001:db8::1",
        "a" * 64 + ".test",
        "a." * 126 + "toolong",
        b"\xff",
        "\u00fc".encode() + b"\xfe.test",
        "\u2028",
        "-d.test",
        "d.test\n",
        "x\x1b[2J",
    ],
)
def test_a_nonsense_domain_is_one_clear_line(tmp_path: Path, domain: str | bytes) -> None:
    run = relay("policy", "--json", "--", domain, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("relay: '")
    assert "is not a domain name" in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stderr.rstrip("\n").isprintable()


def test_refresh_and_offline_do_not_go_together(path: Path) -> None:
    run = relay("policy", "d.test", "--refresh", "--offline", "-c", path)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)


class TestNames:
    @pytest.mark.parametrize("words", [["show", "d.test"], ["d.test"], ["--json", "d.test"]])
    async def test_a_word_that_is_no_command_is_a_domain(
        self, path: Path, words: list[str]
    ) -> None:
        assert (await policy(path, *words)).returncode == 0

    @pytest.mark.parametrize("words", [["show."], ["show", "show"]])
    async def test_a_domain_named_like_a_command(
        self, world: World, path: Path, words: list[str]
    ) -> None:
        await policy(path, *words)
        assert ("_mta-sts.show", "TXT") in world.dns.queries

    def test_help(self, tmp_path: Path) -> None:
        run = relay("policy", "--help", cwd=tmp_path)
        assert run.returncode == 0
        assert "Usage: relay policy [OPTIONS] DOMAIN | COMMAND" in run.stdout


def spoil_damaged(storage: Path) -> None:
    storage.mkdir()
    (storage / "policies.db").write_bytes(b"no database at all" * 1000)


def spoil_newer(storage: Path) -> None:
    storage.mkdir()
    db = sqlite3.connect(storage / "policies.db")
    db.execute("PRAGMA user_version = 999")
    db.close()


def spoil_in_the_way(storage: Path) -> None:
    (storage / "policies.db").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [spoil_damaged, spoil_newer, spoil_in_the_way])
@pytest.mark.parametrize("words", [["d.test"], ["d.test", "--offline"], ["list"]])
def test_trouble_with_the_storage_is_one_sentence(
    path: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(path.parent / "var")
    run = relay("policy", *words, "-c", path)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.startswith("relay: ")
    assert "policies.db" in run.stderr
    assert run.stderr.count("\n") == 1
