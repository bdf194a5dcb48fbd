"""What `relay explain` knows without the network: caches and queue."""

import asyncio
from pathlib import Path

import pytest

from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.lab.world import World
from relay.queue.job import Last, Remainder, Settlement
from tests.cli.process import relay
from tests.cli.scenes import explain, good, told
from tests.db.test_tls_level_reader import fill


class TestOffline:
    async def test_it_asks_nobody(self, world: World, path: Path) -> None:
        await good(world)
        await explain(path, "u@d.test")
        asked = len(world.dns.queries)
        run = await explain(path, "u@d.test", "--offline")
        assert run.returncode == 3
        assert run.stdout.startswith("u@d.test cannot be told: ")
        assert "from the cache alone, fetched" in run.stdout
        assert "verified TLS and nothing less" in run.stdout
        assert len(world.dns.queries) == asked

    async def test_json(self, path: Path) -> None:
        status, shown = await told(path, "u@d.test", "--offline", "--as-if", "testing")
        assert status == 3
        assert (shown["outcome"]["status"], shown["hosts"]) == ("unknown", None)
        assert shown["tls"]["mode"] == "testing"

    @pytest.mark.parametrize(
        ("remember", "floor", "levels"),
        [
            ("false", "clear text will do (tls.no_policy)", ("clear", None)),
            ("true", "(tls.no_policy); TLS with any certificate was seen", ("clear", "encrypted")),
            ('"enforce"', "any certificate will do (tls.remember)", ("encrypted", "encrypted")),
        ],
    )
    async def test_what_was_seen_before(
        self,
        world: World,
        path: Path,
        remember: str,
        floor: str,
        levels: tuple[str, str | None],
    ) -> None:
        keys = f"[tls]\nremember = {remember}\n"
        config = world.config(path.parent / "var", extra=keys)
        await asyncio.to_thread(path.write_text, config, "utf-8")
        await asyncio.to_thread(fill, path.parent / "var" / "policies.db")
        run = await explain(path, "u@a.test", "--offline")
        assert floor in " ".join(run.stdout.split())
        _, shown = await told(path, "u@a.test", "--offline")
        assert (shown["tls"]["levels"][-1], shown["tls"]["remembered"]) == levels


async def stock(path: Path) -> None:
    spool = Spool(path.parent / "var" / "spool-0.db")
    rows = [("Q1", "policy", 4e9), ("Q2", "policy", 4e9), ("Q3", "dns", 4e9)]
    for number, (name, reason, due) in enumerate(rows):
        message = Message(name, Envelope("me@a.test", ("u@d.test",)), b"x\r\n", 1e9 + number)
        (claim,) = await spool.put(message, claimed=True)
        last = Last(1e9 + number, "mx.d.test", f"451 4.4.{number} {reason}")
        rest = Remainder(message.envelope.recipients, due, reason, last, warned=False)
        await spool.settle(Settlement(claim.job, rest), claimed=True)
    await spool.put(Message("Q4", Envelope(None, ("u@d.test",)), b"x\r\n", 2e9), claimed=False)
    await spool.put(Message("Q5", Envelope(None, ("u@e.test",)), b"x\r\n", 1), claimed=False)
    spool.close()


async def test_what_waits_for_the_domain(path: Path) -> None:
    await stock(path)
    _, shown = await told(path, "other@D.test", "--offline")
    assert shown["queued"] == {
        "jobs": 4,
        "recipients": 4,
        "oldest": "2001-09-09T01:46:40.000Z",
        "next_attempt": "2033-05-18T03:33:20.000Z",
        "reasons": {"policy": 2, "": 1, "dns": 1},
        "last": {
            "time": "2001-09-09T01:46:42.000Z",
            "host": "mx.d.test",
            "reply": "451 4.4.2 dns",
        },
    }
    run = await explain(path, "other@d.test", "--offline")
    assert "  queued   4 jobs, the oldest " in run.stdout
    assert "2 policy, 1 not tried yet, 1 dns; the next try is in " in run.stdout
    assert " ago at mx.d.test: 451 4.4.2 dns" in run.stdout


@pytest.mark.parametrize("name", ["policies.db", "spool-0.db"])
@pytest.mark.parametrize("words", [["u@d.test"], ["u@d.test", "--offline"]])
def test_trouble_with_the_storage_is_one_sentence(path: Path, name: str, words: list[str]) -> None:
    storage = path.parent / "var"
    storage.mkdir()
    (storage / name).write_bytes(b"no database at all" * 1000)
    run = relay("explain", *words, "-c", path)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (3, "", 1)
    assert name in run.stderr
