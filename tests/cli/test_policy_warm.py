"""`relay policy warm`: a list of domains looked up before their first mail."""

import asyncio
from pathlib import Path

import pytest

from relay.cli.policy_warm import read_domains
from relay.config import Settings, parse
from relay.lab.world import World
from tests.cli.process import relay

LIST = """\
# ours
d.test
D.TEST.   # once more
\t
none.test
void.test
"""


@pytest.mark.parametrize(
    ("line", "domains"),
    [
        (b"d.test\n", ["d.test"]),
        (b"  D.test. \r\n", ["d.test"]),
        (b"d.test#why\n", ["d.test"]),
        (b"# d.test\n", []),
        (b"\n", []),
        ("b\u00fccher.test\n".encode(), ["xn--bcher-kva.test"]),
    ],
)
def test_a_line_is_a_domain(line: bytes, domains: list[str]) -> None:
    assert read_domains(Settings(), [line, line]) == (domains, [])


@pytest.mark.parametrize("line", [b"a b", b"\xff.test", b"me@d.test", b"192.0.2.1", b"\x00"])
def test_a_line_that_is_none_is_told_by_its_number(line: bytes) -> None:
    domains, (fault,) = read_domains(Settings(), [b"d.test\n", line])
    assert domains == ["d.test"]
    assert fault.startswith("line 2: ")
    assert fault.isprintable()


def test_sts_14_with_a_route_it_is_the_next_hop_that_is_looked_up(tmp_path: Path) -> None:
    routes = [
        {"domain": "*.d.test", "next_hop": "hop.test"},
        {"domain": "other.test", "next_hop": "[192.0.2.1]"},
    ]
    settings = parse({"route": routes}, tmp_path)
    lines = [b"a.d.test", b"b.d.test", b"other.test", b"d.test"]
    assert read_domains(settings, lines) == (["hop.test", "d.test"], [])


async def test_each_is_looked_up_once_and_all_are_told(world: World, path: Path) -> None:
    site = world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce")
    world.policy_host("void.test", "nonsense")
    assert site is not None
    run = await asyncio.to_thread(relay, "policy", "warm", "-", "-c", path, stdin=LIST)
    assert (run.returncode, run.stderr) == (3, "")
    *lines, last = run.stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["1/3", "2/3", "3/3"]
    assert sorted(line.split(" ", 1)[1] for line in lines) == [
        "d.test: mode enforce, fetched",
        "none.test: no policy, none published",
        "void.test: no policy; the policy's version is missing; allowed is STSv1 "
        "(invalid_sts_version)",
    ]
    assert last == "3 domains, 1 fetched, 0 known, 1 none published, 1 failed"
    file = path.parent / "list"
    file.write_text("d.test\nno domain\n", "utf-8")
    again = await asyncio.to_thread(relay, "policy", "warm", file, "-c", path)
    assert again.returncode == 2
    assert again.stderr == f"relay: {file}: line 2: 'no domain' is not a domain name\n"
    assert "1/1 d.test: mode enforce, known" in again.stdout
    assert len(site.requests) == 1
    await asyncio.to_thread(relay, "policy", "warm", "--refresh", file, "-c", path)
    assert len(site.requests) == 2


def test_an_empty_list_and_one_that_is_not_there(path: Path) -> None:
    run = relay("policy", "warm", "-", "-c", path, stdin="# nothing\n")
    assert (run.returncode, run.stderr) == (0, "")
    missing = relay("policy", "warm", path.parent / "none", "-c", path)
    assert missing.returncode == 2
    assert "none" in missing.stderr
