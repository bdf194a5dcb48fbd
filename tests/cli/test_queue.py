"""`relay queue` as an operator types it, on a queue that no relay is working on."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from relay.db.spool import Spool
from relay.envelope import Envelope, Message
from relay.queue.job import Last, Remainder, Settlement

CONTENT = b"Subject: told\r\n\r\nbody \xe2\x82\xac\r\n\x1b[31m.\r\n"
JOBS = [
    ("Q1", "d.test", "policy", "mx.d.test"),
    ("Q2", "d.test", "unreachable", "mx.d.test"),
    ("Q3", "e.test", "dns", None),
]


async def stock(path: Path) -> None:
    spool = Spool(path)
    for name, domain, reason, host in JOBS:
        message = Message(name, Envelope("me@a.test", (f"u@{domain}",)), CONTENT, 1e9)
        (claim,) = await spool.put(message, claimed=True)
        last = Last(1e9, host, f"451 4.4.0 {reason}")
        rest = Remainder(message.envelope.recipients, 4e9, reason, last, warned=False)
        await spool.settle(Settlement(claim.job, rest), claimed=True)
    spool.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text("", "utf-8")
    asyncio.run(stock(tmp_path / "var" / "spool-0.db"))
    return tmp_path / "config.toml"


def queue(config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "relay", "queue", *words, "-c", str(config)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def listed(config: Path, *words: str) -> dict[str, str]:
    rows = map(json.loads, queue(config, "list", "--json", *words).stdout.splitlines())
    return {row["message_id"]: row["state"] for row in rows}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--domain", "D.test."], ["Q1", "Q2"]),
        (["--mx", "mx.d.test", "--reason", "unreachable"], ["Q2"]),
        (["--reason", "sts"], ["Q1"]),
        (["--reason", "policy"], ["Q1"]),
        (["--state", "held"], []),
        (["--sender", "<me@a.test>", "--older", "1d", "--limit", "2"], ["Q1", "Q2"]),
        (["--older", "2001-01-01T00:00:00Z"], []),
        (["--after", "Q1.1"], ["Q2", "Q3"]),
    ],
    ids=" ".join,
)
def test_list_shows_what_fits(config: Path, words: list[str], found: list[str]) -> None:
    assert list(listed(config, *words)) == found


def test_list_counts(config: Path) -> None:
    run = queue(config, "list", "--count", "reason", "--json", "--domain", "d.test")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(row["reason"], row["jobs"], row["recipients"]) for row in rows] == [
        ("policy", 1, 1),
        ("unreachable", 1, 1),
    ]
    assert rows[0]["oldest"] == "2001-09-09T01:46:40.000Z"
    table = queue(config, "list", "--count", "mx").stdout
    cells = [line.split()[:2] for line in table.splitlines()]
    assert [row for row in cells if row[:1] in (["mx.d.test"], ["-"])] == [
        ["mx.d.test", "2"],
        ["-", "1"],
    ]


def test_a_table_that_ends_early_says_how_to_go_on(config: Path) -> None:
    run = queue(config, "list", "--limit", "2")
    assert "Q2.1" in run.stdout
    assert "Q3.1" not in run.stdout
    assert "--after Q2.1" in run.stderr


def test_show_tells_the_attempts_and_the_content(config: Path) -> None:
    shown = queue(config, "show", "Q1", "--body").stdout
    assert "history: 2001-09-09T01:46:40.000Z  policy  mx.d.test  451 4.4.0 policy" in shown
    assert "Subject: told\n" in shown
    assert "body €\n" in shown
    assert "\x1b" not in shown
    assert "body" not in queue(config, "show", "Q1").stdout
    row = json.loads(queue(config, "show", "Q1.1", "--json", "--body").stdout)
    assert row["history"] == [
        {
            "time": "2001-09-09T01:46:40.000Z",
            "reason": "policy",
            "host": "mx.d.test",
            "reply": "451 4.4.0 policy",
        }
    ]
    assert (row["header"], row["body"]) == ("Subject: told", "body €\r\n\x1b[31m.\r\n")


def test_hold_and_release(config: Path) -> None:
    assert queue(config, "hold", "Q1", "Q3.1").stdout == "2 held\n"
    assert listed(config) == {"Q1": "held", "Q2": "waiting", "Q3": "held"}
    assert (
        queue(config, "release", "--state", "held", "--domain", "e.test").stdout == "1 released\n"
    )
    assert listed(config) == {"Q1": "held", "Q2": "waiting", "Q3": "waiting"}


def test_retry_leaves_what_is_held_but_for_what_is_named(config: Path) -> None:
    assert queue(config, "hold", "Q1", "Q2", "Q3").stdout == "3 held\n"
    assert queue(config, "retry").stdout == "0 to be tried now\n"
    assert queue(config, "retry", "--domain", "e.test").stdout == "0 to be tried now\n"
    assert queue(config, "retry", "Q1").stdout == "1 to be tried now\n"
    assert listed(config) == {"Q1": "waiting", "Q2": "held", "Q3": "held"}
    assert queue(config, "retry", "--state", "held").stdout == "2 to be tried now\n"
    assert set(listed(config).values()) == {"waiting"}


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "drop"])
def test_programs_are_told_how_many(config: Path, verb: str) -> None:
    queue(config, "hold", "Q3")
    assert json.loads(queue(config, verb, "Q3", "--json").stdout) == {"jobs": int(verb != "hold")}


def test_drop_by_id_never_asks_and_by_filter_needs_yes(config: Path) -> None:
    refused = queue(config, "drop", "--reason", "sts")
    assert (refused.returncode, len(listed(config))) == (2, 3)
    assert "needs --yes (1 jobs)" in refused.stderr
    assert queue(config, "drop", "--reason", "sts", "--yes").stdout == "1 dropped\n"
    assert queue(config, "drop", "Q2").stdout == "1 dropped\n"
    assert list(listed(config)) == ["Q3"]


@pytest.mark.parametrize("verb", ["hold", "release", "drop"])
def test_everything_at_once_must_be_said(config: Path, verb: str) -> None:
    run = queue(config, verb)
    assert (run.returncode, set(listed(config).values())) == (2, {"waiting"})
    assert "IDs, or a filter" in run.stderr


@pytest.mark.parametrize(
    "words",
    [["--reason", "no"], ["--older", "never"], ["--sender", "\udcff"], ["--mx", "x y"]],
    ids=ascii,
)
def test_a_filter_that_makes_no_sense(config: Path, words: list[str]) -> None:
    run = queue(config, "list", *words)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
