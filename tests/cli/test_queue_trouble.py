"""`relay queue` and its kin on storage in trouble and with senseless arguments: one sentence."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from relay.db.spool import Spool

READING = [["queue", "list"], ["queue", "show", "Q1"]]
CHANGING = [["queue", "retry"], ["queue", "drop", "Q1.1"]]


def relay(words: list[str | bytes], config: Path) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "relay", *words, "-c", os.fspath(config)]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text("", "utf-8")
    path = tmp_path / "var" / "spool-0.db"
    Spool(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO message VALUES ('Q1', x'')")
        db.execute(
            "INSERT INTO job (message_id, number, domain, recipients, smtputf8, eight_bit,"
            " requiretls, created, size, state, next_attempt)"
            " VALUES ('Q1', 1, 'd.test', '[\"a@d.test\"]', 0, 0, 0, 1, 0, 'waiting', 1)"
        )
    return path


def assert_one_sentence(run: "subprocess.CompletedProcess[bytes]", status: int, text: str) -> None:
    said = run.stderr.decode()
    assert "Traceback" not in said
    assert text in said
    assert run.returncode == status, said


def test_a_locked_database_is_told(tmp_path: Path, spool: Path) -> None:
    with closing(sqlite3.connect(spool, isolation_level=None)) as db, ThreadPoolExecutor() as pool:
        db.execute("BEGIN IMMEDIATE")
        config = tmp_path / "config.toml"
        for run in pool.map(lambda words: relay([*words], config), CHANGING):
            assert_one_sentence(run, 3, "spool-0.db: database is locked")


@pytest.mark.parametrize("words", READING + CHANGING, ids=" ".join)
@pytest.mark.parametrize("start", [0, 8192], ids=["no database", "a damaged page"])
def test_a_damaged_database_is_told(
    tmp_path: Path, spool: Path, words: list[str], start: int
) -> None:
    octets = bytearray(spool.read_bytes())
    octets[start:] = b"\xa5" * (len(octets) - start)
    spool.write_bytes(octets)
    assert_one_sentence(relay([*words], tmp_path / "config.toml"), 3, "spool-0.db: ")


@pytest.mark.parametrize("name", ["Q1.99999999999999999999", b"Q1\xff", "Q1.0", "", "Q1.1;"])
@pytest.mark.parametrize("verb", ["show", "retry", "drop"])
def test_a_name_that_nothing_has(tmp_path: Path, spool: Path, verb: str, name: str | bytes) -> None:
    run = relay(["queue", verb, name], tmp_path / "config.toml")
    assert_one_sentence(run, 1, "there is no job and no message")


@pytest.mark.parametrize("domain", [b"d\xff.test", "d d", "", "[1.2]"])
@pytest.mark.parametrize("words", [["queue", "list"], ["queue", "drop"], ["violations"]])
def test_a_domain_that_is_none(
    tmp_path: Path, spool: Path, words: list[str], domain: str | bytes
) -> None:
    run = relay([*words, "--domain", domain], tmp_path / "config.toml")
    assert_one_sentence(run, 2, "Invalid value for '--domain'")


def test_a_damaged_job_is_shown_and_can_be_dropped(tmp_path: Path, spool: Path) -> None:
    with closing(sqlite3.connect(spool, isolation_level=None)) as db:
        db.execute("UPDATE job SET recipients = '[', last = '{'")
    config = tmp_path / "config.toml"
    listed = relay(["queue", "list", "--json"], config)
    assert b'"recipients":[]' in listed.stdout
    assert relay(["queue", "drop", "Q1.1"], config).stdout == b"1 dropped\n"


def test_violations_that_were_lost_are_told_beside_the_others(tmp_path: Path, spool: Path) -> None:
    with closing(sqlite3.connect(spool, isolation_level=None)) as db:
        db.execute("UPDATE spool SET findings_lost = 7")
    run = relay(["violations"], tmp_path / "config.toml")
    assert (run.returncode, run.stdout) == (0, b"no violations\n")
    assert b"7 violations are missing" in run.stderr
