"""`relay explain ADDRESS` as a user types it: what would become of mail."""

from pathlib import Path

import pytest

from relay.lab.world import World
from tests.cli.process import relay
from tests.cli.scenes import (
    Scene,
    busy,
    clear,
    dead,
    expired,
    explain,
    good,
    host,
    hostile,
    no_address,
    no_domain,
    no_policy,
    no_tls,
    null_mx,
    second,
    servfail,
    set_up,
    testing_no_tls,
    testing_unlisted,
    unlisted,
)

# scene, exit status, what the line of people says with --probe
PROBED: list[tuple[Scene, int, str]] = [
    (good, 0, "would be delivered to mx.d.test over verified TLSv1.3"),
    (unlisted, 3, "would be deferred (policy): 451 4.7.1 mx.d.test is not in the policy of d.test"),
    (expired, 3, "would be deferred (policy): 451 4.7.5 the certificate of mx.d.test has expired"),
    (no_tls, 3, "would be deferred (policy): 451 4.7.4 mx.d.test does not offer STARTTLS"),
    (
        testing_unlisted,
        0,
        "would be delivered to mx.d.test over TLSv1.3 with any certificate; "
        "2 violations would be recorded",
    ),
    (testing_no_tls, 3, "would be deferred (tls-floor): 451 4.7.4 mx.d.test does not offer"),
    (no_policy, 0, "would be delivered to mx.d.test over TLSv1.3 with any certificate"),
    (clear, 0, "would be delivered to mx.d.test in clear text"),
    (second, 0, "would be delivered to mx2.d.test over verified TLSv1.3; 1 violation would"),
    (dead, 3, "would be deferred (unreachable): 451 4.4.1 mx.d.test [127.0.0.1] cannot be reach"),
    (no_address, 3, "would be deferred (dns): 451 4.4.4 the host mx.d.test has no address in DNS"),
    (busy, 3, "would be deferred (answered): 421 4.3.2 come again"),
    (hostile, 1, "would be bounced: 554 5.7.1 go away"),
    (null_mx, 1, "would be bounced: 556 5.1.10 the domain d.test takes no mail (null MX)"),
    (no_domain, 1, "would be bounced: 550 5.1.2 the domain d.test does not exist"),
    (servfail, 3, "would be deferred (dns): 451 4.4.3 the MX hosts of d.test cannot be looked up"),
]


@pytest.mark.parametrize(
    ("scene", "status", "text"), PROBED, ids=[scene.__name__ for scene, *_ in PROBED]
)
async def test_each_outcome_with_probe(
    world: World, path: Path, scene: Scene, status: int, text: str
) -> None:
    await scene(world)
    run = await explain(path, "u@d.test", "--probe")
    assert (run.returncode, run.stderr) == (status, "")
    assert run.stdout.startswith(f"u@d.test {text}")
    assert run.stdout.replace("\n", "").isprintable()


ASKED_NOBODY = "would be offered to mx.d.test over verified TLS; it has not been asked"


@pytest.mark.parametrize(
    ("scene", "status", "text"),
    [
        (good, 0, ASKED_NOBODY),
        (expired, 0, ASKED_NOBODY),
        (unlisted, 3, "would be deferred (policy): 451 4.7.1"),
        (no_policy, 0, "would be offered to mx.d.test over verified TLS; it has not been asked"),
        (no_address, 3, "would be deferred (dns): 451 4.4.4"),
        (null_mx, 1, "would be bounced: 556 5.1.10"),
    ],
)
async def test_without_probe_what_is_not_known_is_said(
    world: World, path: Path, scene: Scene, status: int, text: str
) -> None:
    await scene(world)
    run = await explain(path, "u@d.test")
    assert run.returncode == status
    assert run.stdout.startswith(f"u@d.test {text}")


async def test_a_probe_sends_no_mail_and_says_quit(world: World, path: Path) -> None:
    mx = await host(world)
    set_up(world)
    await explain(path, "u@d.test")
    assert mx.connections == 0
    await explain(path, "u@d.test", "--probe")
    assert await mx.endings.reach(1, 5) == ["QUIT"]
    assert mx.commands == [
        "EHLO relay.lab.test",
        "STARTTLS",
        "EHLO relay.lab.test",
        "QUIT",
    ]


async def test_everything_it_follows_from(world: World, path: Path) -> None:
    mx = await host(world)
    await world.mx_host("other.test", address="127.0.0.9")
    world.domain(
        "d.test",
        mx=[(10, "mx.d.test"), (20, "other.test")],
        policy="enforce",
        patterns=["*.d.test"],
    )
    run = await explain(path, "u@d.test", "--probe")
    lines = run.stdout.splitlines()
    assert lines[1] == "d.test: mode enforce"
    assert lines[2].startswith("  source   fetched now, expires in 7 days")
    assert lines[5:] == [
        "  mx       *.d.test",
        "  tls      verified TLS and nothing less: its policy is in mode enforce",
        f"  hosts    10  mx.d.test  {mx.address}",
        "               listed by *.d.test; takes mail over verified TLSv1.3",
        "           20  other.test  127.0.0.9",
        "               gets no mail: 451 4.7.1 other.test is not in the "
        "policy of d.test, which lists *.d.test; the MTA-STS policy of d.test (mode enforce) rules "
        "this host out",
        "  queued   nothing",
    ]


@pytest.mark.parametrize(
    "address",
    [
        "d.test",
        "",
        "@d.test",
        "u@",
        "u@d..test",
        "u@d.test.",
        "u v@d.test",
        "<u@d.test>",
        "u@[300.1.1.1]",
        "u@192.0.2.1",
        "u@\u2028.test",
        b"\xff@d.test",
        "u\x1b[2J@d.test",
    ],
)
def test_nonsense_is_one_clear_line(tmp_path: Path, address: str | bytes) -> None:
    run = relay("explain", "--", address, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("relay: '")
    assert run.stderr.rstrip("\n").endswith("; an address is like joe@example.org")
    assert run.stderr.count("\n") == 1
    assert run.stderr.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "words", [["u@d.test", "--probe", "--offline"], ["u@[192.0.2.1]", "--as-if", "enforce"]]
)
def test_what_does_not_go_together(path: Path, words: list[str]) -> None:
    run = relay("explain", *words, "-c", path)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
