"""`relay violations` as an operator types it: lists, filters, counts, one record."""

import asyncio
import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from relay.clock import SystemClock
from relay.db.ledger import Ledger
from relay.evidence import (
    Action,
    Certificate,
    Failure,
    Finding,
    Handshake,
    PolicySnapshot,
)
from relay.reporting.copier import entries_of
from tests.cli.process import Run, relay

HOUR, DAY = 3600.0, 86_400.0
NOW = SystemClock().now()
SHOWN = Certificate(
    subject="CN=other.test\x1b[2J",
    issuer="CN=root",
    names=("=HYPERLINK(1)", "other.test"),
    names_count=4000,
    not_before=1788220800,
    not_after=1788825600,
    sha256="ab" * 32,
)
HANDSHAKE = Handshake("TLSv1.3", "Hostname mismatch", SHOWN)


def policy(mode: str) -> PolicySnapshot:
    return PolicySnapshot("20260901", mode, ("mx.d.test", "*.in.d.test"), 604800, NOW + DAY)


FINDINGS = [
    Finding(
        NOW - 200 * DAY,
        "old.test",
        policy("enforce"),
        Failure.MX_MISMATCH,
        "not listed",
        Action.REFUSED,
        "mx.old.test",
        ("192.0.2.9",),
        "Q0",
        1,
    ),
    *(
        Finding(
            NOW - age,
            "d.test",
            policy("testing"),
            Failure.CERTIFICATE_HOST_MISMATCH,
            "the certificate of mx.d.test is not valid for that name",
            Action.DELIVERED,
            "mx.d.test",
            ("192.0.2.1",),
            f"Q{number}",
            2,
            HANDSHAKE,
        )
        for number, age in enumerate([50 * HOUR, 26 * HOUR, 2 * HOUR], 1)
    ),
    Finding(
        NOW - HOUR,
        "e.test",
        None,
        Failure.STS_POLICY_FETCH_ERROR,
        "it timed out",
        Action.NOTED,
    ),
]
LINES = [one.line.decode() for one in entries_of([(f"s-{n}", f) for n, f in enumerate(FINDINGS)])]
IDS = [json.loads(line)["id"] for line in LINES]


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    """A configuration whose ledger has FINDINGS."""
    ledger = Ledger(tmp_path / "var" / "ledger.db")
    await ledger.append(entries_of([(f"s-{n}", one) for n, one in enumerate(FINDINGS)]))
    ledger.close()
    path = tmp_path / "config.toml"
    path.touch()
    return path


def done(*words: str, status: int = 0) -> Run:
    run = relay("violations", *words)
    assert (run.returncode, "Traceback" in run.stderr) == (status, False), run.stderr
    return run


def test_the_newest_come_first_and_repeats_are_one_row(config: Path) -> None:
    head, _, *rows = done("-c", str(config)).stdout.splitlines()
    assert head.split()[:3] == ["last", "first", "times"]
    assert [row.split()[4:6] for row in rows] == [
        ["1", "e.test"],
        ["3", "d.test"],
        ["1", "old.test"],
    ]
    assert "policy not fetched" in rows[0]
    assert "certificate for another name  delivered" in rows[1]
    assert [row.split()[-1] for row in rows] == [IDS[4], IDS[3], IDS[0]]


def test_more_than_asked_for_is_told_of(config: Path) -> None:
    run = done("--limit", "1", "-c", str(config))
    assert len(run.stdout.splitlines()) == 3
    assert "1 of 3 rows, 5 violations in all" in run.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["--since", "90m"], [4]),
        (["--since", "3h"], [3, 4]),
        (["--until", "3h"], [0, 1, 2]),
        (["--since", "60h", "--until", "24h"], [1, 2]),
        (["--since", "2000-01-01T00:00:00Z"], [0, 1, 2, 3, 4]),
        (["--domain", "D.test."], [1, 2, 3]),
        (["--domain", "none.test"], []),
        (["--domain", "summary"], []),
        (["--mx", "MX.old.test."], [0]),
        (["--mx", "_no.host;\\027x.test"], []),
        (["--mode", "testing"], [1, 2, 3]),
        (["--mode", "none"], [4]),
        (["--reason", "mx-mismatch"], [0]),
        (["--action", "noted"], [4]),
        (["--action", "delivered", "--since", "3h"], [3]),
    ],
    ids=lambda value: " ".join(map(str, value)) or "all",
)
def test_filters_are_the_same_everywhere(config: Path, words: list[str], found: list[int]) -> None:
    """--json and export are the very lines of the log, in the order written."""
    place = ["-c", str(config)]
    lines = "".join(f"{LINES[number]}\n" for number in found)
    assert done("--json", *words, *place).stdout == lines
    assert done(*place, *words, "export").stdout == lines
    rows = list(csv.reader(io.StringIO(done("export", "--format=csv", *words, *place).stdout)))
    assert [row[-2] for row in rows[1:]] == [IDS[number] for number in found]
    counted = json.loads(done("summary", "--json", *words, *place).stdout)
    assert counted["violations"] == sum(counted["by_day"].values()) == len(found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "yesterday"),
        (["--reason", "bad-luck"], "mx-mismatch"),
        (["--action", "x"], "refused"),
        (["--mode", "x"], "enforce"),
        (["--limit", "0"], "limit"),
        (["export", "--format", "xml"], "jsonl"),
        (["show"], "ID"),
        (["show", "abc"], "at least 4"),
        (["show", "abcdefg"], "at least 4"),
        (["show", "\udcff" * 4], "at least 4"),
        (["--domain", "\udcff"], "domain"),
        (["--mx", "\udcff"], "domain"),
        (["sumary"], "sumary"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_wrong_words_are_told_what_is_allowed(config: Path, words: list[str], said: str) -> None:
    assert said in done(*words, "-c", str(config), status=2).stderr


def test_summary(config: Path) -> None:
    text = done("summary", "-c", str(config)).stdout
    first, *lines = [line for line in text.splitlines() if line]
    assert first.startswith("5 violations, 1 of them refused, ")
    table = {line.split("  ")[0]: line.split() for line in lines}
    assert table["d.test"][1:] == ["3", "\u2588" * 20]
    assert table["e.test"][1:] == ["1", "\u2588" * 7]
    assert table["certificate for another name"][4] == "3"
    assert done("summary", "--domain", "n.test", "-c", str(config)).stdout == "no violations\n"
    assert "and 2 more: --limit" in done("summary", "--limit", "1", "-c", str(config)).stdout


def test_show_tells_everything(config: Path) -> None:
    lines = done("show", IDS[2][:8].upper(), "-c", str(config)).stdout.splitlines()
    fields = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    assert (
        fields.items()
        >= {
            "id": IDS[2],
            "what": "certificate for another name (certificate-host-mismatch)",
            "done": "delivered: the mail went to this host all the same",
            "domain": "d.test",
            "host": "mx.d.test",
            "addresses": "192.0.2.1",
            "mode": "testing",
            "policy": "20260901",
            "lists": "mx.d.test",
            "TLS": "TLSv1.3",
            "TLS error": "Hostname mismatch",
            "subject": "CN=other.test\N{REPLACEMENT CHARACTER}[2J",
            "names": "=HYPERLINK(1)",
            "issuer": "CN=root",
            "valid from": "2026-09-01T00:00:00.000Z",
            "valid until": "2026-09-08T00:00:00.000Z",
            "SHA-256": "ab" * 32,
            "queue id": "Q2",
            "recipients": "2",
            "queue ids": "Q3",
        }.items()
    )
    plain = [line.strip() for line in lines]
    assert {"*.in.d.test", "other.test", "and 3998 more", "Q2", "Q1"} <= set(plain)
    assert fields["seen"].startswith("3 times, ")


def test_show_for_programs_and_of_what_is_not_there(config: Path) -> None:
    assert done("show", IDS[0], "--json", "-c", str(config)).stdout == LINES[0] + "\n"
    assert "no violation 'abcdef'" in done("show", "abcdef", "-c", str(config), status=1).stderr
    lone = done("show", IDS[4], "-c", str(config)).stdout
    assert "mode: -\n" in lone
    assert "seen: once\n" in lone


async def test_show_needs_more_of_an_id_where_several_begin_so(config: Path) -> None:
    (one,) = entries_of([("x", FINDINGS[0])])
    ledger = Ledger(config.parent / "var" / "ledger.db")
    for ending in ("12345678", "12345679"):
        record = one.record | {"id": f"abcd{ending}"}
        await ledger.append([replace(one, finding_id=ending, record=record)])
    ledger.close()
    assert "several" in done("show", "abcd1234567", "-c", str(config), status=2).stderr
    assert "abcd12345679" in done("show", "abcd12345679", "-c", str(config)).stdout


def test_in_csv_nothing_is_a_formula_and_null_is_empty(config: Path) -> None:
    text = done("export", "--format", "csv", "-c", str(config)).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[1]["certificate.san"] == "'=HYPERLINK(1) other.test"
    assert rows[1]["policy.mx"] == "mx.d.test *.in.d.test"
    assert rows[1]["certificate.subject"] == "CN=other.test\N{REPLACEMENT CHARACTER}[2J"
    assert (rows[4]["mode"], rows[4]["policy.id"], rows[4]["certificate.san"]) == ("", "", "")
    assert rows[4]["v"] == "1"


async def begin_anew(config: Path, finding: Finding) -> None:
    """Move the ledger aside, as the relay does with a damaged one, for one with this alone."""
    path = config.parent / "var" / "ledger.db"
    other = Ledger(path.with_name("new.db"))
    await other.append(entries_of([("s-1", finding)]))
    other.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    path.with_name("new.db").rename(path)


@pytest.mark.parametrize("as_json", [True, False], ids=["for programs", "for people"])
async def test_follow_goes_on_with_what_comes(config: Path, as_json: bool) -> None:
    words = ["violations", "--follow", "--domain", "d.test", *(["--json"] if as_json else [])]
    command = [sys.executable, "-m", "relay", *words, "-c", str(config)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    lines = [(await child.stdout.readline()).decode() for _ in range(3)]
    ledger = Ledger(config.parent / "var" / "ledger.db")
    new = entries_of([("n-0", FINDINGS[4]), ("n-1", FINDINGS[3]), ("n-2", FINDINGS[0])])
    await ledger.append(new)
    ledger.close()
    lines.append((await child.stdout.readline()).decode())
    await begin_anew(config, FINDINGS[1])
    lines.append((await child.stdout.readline()).decode())
    child.send_signal(signal.SIGINT)
    assert await child.stdout.read() == b""
    assert await child.wait() == 0
    if as_json:
        assert lines == [f"{line}\n" for line in (*LINES[1:4], new[1].line.decode(), LINES[1])]
    else:
        assert all("d.test  testing  mx.d.test" in line for line in lines)


def on_a_terminal(columns: int, *words: str, **environ: str) -> str:
    """What the command prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    env = {**os.environ, "TERM": "xterm-256color", **environ}
    for name in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"} - set(environ):
        env.pop(name, None)
    command = [sys.executable, "-m", "relay", "violations", *words]
    subprocess.run(command, stdout=follower, check=True, env=env)
    os.close(follower)
    with os.fdopen(leader, "rb") as reader:
        return reader.read1(65536).decode()


def test_eighty_columns_will_do(config: Path) -> None:
    lines = on_a_terminal(80, "-c", str(config), NO_COLOR="1", TERM="dumb").splitlines()
    assert max(map(len, lines)) <= 80
    start = next(number for number, line in enumerate(lines) if "d.test" in line)
    assert lines[start].split()[2:] == ["d.test", "certificate", "for", "another", "name", "3"]
    assert lines[start + 1].split()[:4] == [IDS[3], "mx.d.test", "testing:", "delivered"]


def test_no_color_is_honoured(config: Path) -> None:
    assert "\x1b[31m" in on_a_terminal(80, "-c", str(config))
    assert "\x1b[3" not in on_a_terminal(80, "-c", str(config), NO_COLOR="1")
    assert "\x1b" not in done("-c", str(config)).stdout


def test_wide_rows_are_lines_on_a_terminal_too(config: Path) -> None:
    lines = on_a_terminal(80, "--wide", "-c", str(config)).splitlines()
    assert len(lines) == 5
    assert max(map(len, lines)) > 80
