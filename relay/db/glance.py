"""A glance at the stores for shell completion: a few words that begin as typed, at once.

Reads what is there and nothing else: makes no file, waits for nobody, and knows no trouble, since
nobody wants to be told of it while typing. A word is found with what it stands for, or None.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

LIMIT = 100
"""Words that are found at most."""

_PATIENCE = 0.05  # seconds for each database
_STEPS = 5000  # of SQLite's machine, between looks at the clock
_BEGINS = "substr(word, 1, length(:begin)) = :begin"
_HOST = "iif(json_valid(last), json_extract(last, '$.host'), NULL)"

# What is newest; no index has it all
_RECENT = "(SELECT * FROM job ORDER BY message_id DESC LIMIT 1000)"
_JOBS = """
  SELECT message_id || '.' || number AS word, domain || coalesce(', ' || reason, '') AS what
  FROM job WHERE message_id BETWEEN :stem AND :stem || '~' AND instr(:states, state)"""
_JOB_DOMAINS = f"""
  SELECT domain AS word, NULL AS what FROM turn UNION SELECT domain, NULL FROM {_RECENT}"""  # noqa: S608 - of constants
_JOB_HOSTS = f"SELECT DISTINCT {_HOST} AS word, NULL AS what FROM {_RECENT}"  # noqa: S608
_POLICIES = "SELECT domain AS word, NULL AS what FROM policy"
_PAST_POLICIES = f"{_POLICIES} UNION SELECT domain, NULL FROM past"  # noqa: S608
_TLS = "SELECT domain AS word, iif(level = 2, 'verified', 'encrypted') AS what FROM tls_level"
_VIOLATIONS = """
  SELECT record_id AS word, domain || ', ' || reason AS what
  FROM violation JOIN kind ON kind.id = kind ORDER BY violation.id DESC"""
_VIOLATION_DOMAINS = "SELECT DISTINCT domain AS word, NULL AS what FROM kind"
_VIOLATION_HOSTS = "SELECT DISTINCT mx AS word, NULL AS what FROM kind WHERE mx != ''"

_PASSED_DOMAINS = "SELECT DISTINCT domain AS word, NULL AS what FROM traffic"

Seen = tuple[str, str | None]


def job_ids(directory: Path, begin: str, states: str = "waiting active held") -> list[Seen]:
    """Jobs in one of these states, with their domain and reason."""
    return _in_spools(directory, _JOBS, begin, states)


def job_domains(directory: Path, begin: str) -> list[Seen]:
    """Recipient domains that mail waits for, or lately was held for."""
    return _in_spools(directory, _JOB_DOMAINS, begin)


def job_hosts(directory: Path, begin: str) -> list[Seen]:
    """Hosts that the latest jobs were last tried at."""
    return _in_spools(directory, _JOB_HOSTS, begin)


def policy_domains(directory: Path, begin: str) -> list[Seen]:
    """Domains whose policy, or the failure to get it, is cached."""
    return _in(directory / "policies.db", _POLICIES, begin)


def past_policy_domains(directory: Path, begin: str) -> list[Seen]:
    """Domains whose policy is cached or was."""
    return _in(directory / "policies.db", _PAST_POLICIES, begin)


def tls_domains(directory: Path, begin: str) -> list[Seen]:
    """Domains whose TLS level is remembered, with it."""
    return _in(directory / "policies.db", _TLS, begin)


def violation_ids(directory: Path, begin: str) -> list[Seen]:
    """The ledger's newest records, with their domain and reason."""
    return _in(directory / "ledger.db", _VIOLATIONS, begin)


def violation_domains(directory: Path, begin: str) -> list[Seen]:
    """Policy domains in the ledger."""
    return _in(directory / "ledger.db", _VIOLATION_DOMAINS, begin)


def violation_hosts(directory: Path, begin: str) -> list[Seen]:
    """Hosts in the ledger."""
    return _in(directory / "ledger.db", _VIOLATION_HOSTS, begin)


def passed_domains(directory: Path, begin: str) -> list[Seen]:
    """Policy domains that mail was delivered to, as far as that is counted."""
    return _in(directory / "ledger.db", _PASSED_DOMAINS, begin)


def _in_spools(directory: Path, query: str, begin: str, states: str = "") -> list[Seen]:
    spools = sorted(directory.glob("spool-*.db"))
    found = {seen for path in spools for seen in _in(path, query, begin, states)}
    return sorted(found)[:LIMIT]


def _in(path: Path, query: str, begin: str, states: str = "") -> list[Seen]:
    values = {"begin": begin, "stem": begin.partition(".")[0], "states": states}
    whole = f"SELECT * FROM ({query}) WHERE {_BEGINS} LIMIT {LIMIT}"  # noqa: S608
    found: list[Seen] = []
    with suppress(sqlite3.Error, OSError), closing(_open(path)) as db:
        found.extend(_rows(db, whole, values))
    return found


def _rows(db: sqlite3.Connection, query: str, values: dict[str, str]) -> Iterator[Seen]:
    end = time.monotonic() + _PATIENCE
    db.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    for word, what in db.execute(query, values):
        if isinstance(word, str):
            yield word, what if isinstance(what, str) else None


# Without a journal nobody has it open: read as a file that does not change it gets none beside it
def _open(path: Path) -> sqlite3.Connection:
    rest = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    uri = f"{path.absolute().as_uri()}?mode=ro{rest}"
    return sqlite3.connect(uri, uri=True, timeout=0)
