"""`relay explain` by another mode, by a route, and for addresses of all kinds."""

from pathlib import Path

import pytest

from relay.lab.world import World
from tests.cli.scenes import (
    Scene,
    clear,
    expired,
    explain,
    good,
    host,
    no_policy,
    no_tls,
    set_up,
    testing_unlisted,
    told,
    unlisted,
)


def add(path: Path, text: str) -> Path:
    """More for the configuration."""
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    return path


def name_postmaster(path: Path, address: str | None) -> None:
    """Who has the mail for our own; None: it is not said."""
    line = f'postmaster = "{address}"\n' if address else ""
    path.write_text(path.read_text("utf-8").replace("[queue]\n", f"[queue]\n{line}"), "utf-8")


class TestAsIf:
    @pytest.mark.parametrize(
        ("scene", "mode", "status"),
        [
            (testing_unlisted, "enforce", "deferred"),
            (testing_unlisted, "none", "delivered"),
            (unlisted, "testing", "delivered"),
            (no_policy, "enforce", "deferred"),
            (no_policy, "testing", "delivered"),
            (good, "enforce", "delivered"),
        ],
    )
    async def test_another_mode(
        self, world: World, path: Path, scene: Scene, mode: str, status: str
    ) -> None:
        await scene(world)
        _, shown = await told(path, "u@d.test", "--probe", "--as-if", mode)
        assert (shown["outcome"]["status"], shown["as_if"]) == (status, mode)
        assert shown["tls"]["mode"] == mode

    async def test_without_a_policy_the_hosts_there_are_count_as_listed(
        self, world: World, path: Path
    ) -> None:
        await clear(world)
        _, shown = await told(path, "u@d.test", "--as-if", "enforce")
        assert shown["outcome"]["status"] == "offered"
        assert shown["hosts"][0]["match"] == "mx.d.test"
        run = await explain(path, "u@d.test", "--as-if", "enforce")
        assert "d.test: publishes no MTA-STS policy" in run.stdout
        assert "  as if    mode enforce" in run.stdout


class TestRoutes:
    def add_route(self, path: Path, next_hop: str, more: str = "") -> Path:
        route = f'[[route]]\ndomain = "*"\nnext_hop = "{next_hop}"\n{more}'
        return add(path, route)

    async def test_sts_14_the_policy_of_the_next_hop_holds(self, world: World, path: Path) -> None:
        await good(world)
        status, shown = await told(self.add_route(path, "d.test"), "u@a.test", "--probe")
        assert status == 0
        assert shown["policy"]["domain"] == "d.test"
        assert shown["tls"]["setting"] == "route[0].tls"
        assert shown["route"] == "mail for a.test goes to d.test (route for *)"

    async def test_what_is_wrong_with_a_route_does_not_bounce(self, path: Path) -> None:
        run = await explain(self.add_route(path, "d.test"), "u@a.test")
        assert run.returncode == 3
        assert "would be deferred (dns): 451 4.3.5 route[0].next_hop of our" in run.stdout

    async def test_the_login_is_tried(self, world: World, path: Path) -> None:
        mx = await host(world, accounts={"joe": "secret"})
        set_up(world, None)
        file = path.parent / "c.toml"
        file.write_text('username = "joe"\npassword = "wrong"\n', "utf-8")
        file.chmod(0o600)
        self.add_route(path, "d.test", 'credentials = "c.toml"\n')
        run = await explain(path, "u@a.test", "--probe")
        assert run.returncode == 3
        assert "does not take the relay's credentials" in run.stdout
        assert "wrong" not in run.stdout
        assert mx.logins == [("joe", "wrong")]
        offline = await explain(path, "u@a.test", "--offline")
        assert "verified TLS and nothing less (route[0].tls)" in offline.stdout


class TestWaivers:
    def waive(self, path: Path, kind: str, until: str = "2999-01-31") -> Path:
        text = f'[[waiver]]\ndomain = "d.test"\nallow = "{kind}"\nuntil = {until}\n'
        return add(path, text + 'reason = "ticket 7"\n')

    @pytest.mark.parametrize(
        ("scene", "kind", "tls"),
        [
            (expired, "bad-certificate", "TLSv1.3"),
            (unlisted, "mx-mismatch", "verified TLSv1.3"),
            (no_tls, "no-tls", "clear"),
        ],
    )
    async def test_what_one_lets_pass(
        self, world: World, path: Path, scene: Scene, kind: str, tls: str
    ) -> None:
        await scene(world)
        status, shown = await told(self.waive(path, kind), "u@d.test", "--probe")
        assert (status, shown["outcome"]["tls"]) == (0, tls)
        assert [one["action"] for one in shown["outcome"]["violations"]] == ["waived"]
        assert shown["waivers"] == [
            {
                "name": "waiver[0]",
                "allow": kind,
                "until": "2999-02-01T00:00:00.000Z",
                "reason": "ticket 7",
                "in_force": True,
            }
        ]

    async def test_one_that_has_ended(self, world: World, path: Path) -> None:
        await expired(world)
        self.waive(path, "bad-certificate", "2020-01-31")
        run = await explain(path, "u@d.test", "--probe")
        assert run.returncode == 3
        assert "  waivers  waiver[0] (bad-certificate, until 2020-02-01T00:00:00.000Z), ended " in (
            run.stdout
        )
        assert run.stdout.splitlines()[0].endswith(" has ended")

    async def test_a_host_not_asked_that_takes_one(self, world: World, path: Path) -> None:
        await unlisted(world)
        run = await explain(self.waive(path, "mx-mismatch"), "u@d.test")
        assert run.returncode == 0
        assert "over verified TLS; waiver[0] (mx-mismatch, until 2999-02-01" in run.stdout
        offline = await explain(path, "u@d.test", "--offline")
        assert ", ends in " in offline.stdout

    async def test_a_requirement(self, world: World, path: Path) -> None:
        await clear(world)
        add(path, '[[require]]\ndomain = "d.test"\ntls = "encrypt"\n')
        run = await explain(path, "u@d.test", "--probe")
        assert run.returncode == 3
        assert "would be deferred (tls-floor): 451 4.7.4" in run.stdout
        assert "TLS with any certificate will do ([[require]] for d.test)" in run.stdout


async def test_an_address_literal(world: World, path: Path) -> None:
    mx = await host(world, "another")
    run = await explain(path, f"u@[{mx.address}]", "--probe")
    assert run.returncode == 0
    assert run.stdout.startswith(
        f"u@[{mx.address}] would be delivered to {mx.address} over TLSv1.3"
    )
    assert f"[{mx.address}]: an address has no MTA-STS policy" in run.stdout
    assert not world.dns.queries
    status, shown = await told(path, f"u@[{mx.address}]", "--offline")
    assert (status, shown["outcome"]["status"]) == (3, "unknown")


async def test_utf_8_addresses(world: World, path: Path) -> None:
    await host(world, extensions=())
    world.domain("xn--bcher-kva.test", mx=[(10, "mx.d.test")])
    run = await explain(path, "joe@b\u00fccher.test", "--probe")
    assert run.returncode == 0
    run = await explain(path, "j\u00f6e@b\u00fccher.test", "--probe")
    assert run.returncode == 1
    assert "would be bounced: 553 5.6.7 mx.d.test does not take UTF-8 addresses" in run.stdout


@pytest.mark.parametrize(
    ("address", "postmaster", "start", "way"),
    [
        ("postmaster", "me@d.test", "would be delivered to mx.d.test", "me@d.test"),
        ("Postmaster@RELAY.lab.test", "me@d.test", "would be delivered to", "me@d.test"),
        ("postmaster", None, "would be bounced: 550 5.1.2", "postmaster@relay.lab.test"),
        ("postmaster@relay.lab.test", None, "would be bounced: 550 5.1.2", None),
        ("postmaster@d.test", "me@e.test", "would be delivered to mx.d.test", None),
    ],
)
async def test_our_own_postmaster(
    world: World, path: Path, address: str, postmaster: str | None, start: str, way: str | None
) -> None:
    """RFC 5321 §4.5.1: as RCPT takes it, with or without a domain."""
    await good(world)
    name_postmaster(path, postmaster)
    run = await explain(path, address, "--probe")
    assert run.stdout.startswith(f"{address} {start}"), run.stdout
    _, shown = await told(path, address)
    by = " (queue.postmaster)" if postmaster else ""
    assert shown["address"] == address
    assert shown["route"] == (way and f"mail for our own {address} goes to {way}{by}")
