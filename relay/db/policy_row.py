"""Rows of the policy database as the objects they hold, and back."""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from relay.address import Domain
from relay.mta_sts.policy import (
    CachedPolicy,
    FetchFailure,
    Policy,
    PolicyVersion,
    print_policy,
)

KEPT_ROWS = "SELECT domain, record_id, mode, mx, max_age, text, fetched_at, failure FROM policy"
VERSION_ROWS = """
  SELECT record_id, mode, mx, max_age, text, first_seen, last_seen, seen_by, ended FROM (
    SELECT 0 AS kept, * FROM past WHERE domain = :domain
    UNION ALL
    SELECT 1 AS kept, number, domain, record_id, mode, mx, max_age, text, first_seen, fetched_at,
           seen_by, NULL
    FROM policy WHERE domain = :domain AND mode IS NOT NULL
  ) ORDER BY kept, number"""


def cached_of(row: Sequence[Any]) -> CachedPolicy:
    """What a row of KEPT_ROWS says. Raises sqlite3.DataError where it is damaged."""
    domain, record_id, mode, mx, max_age, text, fetched_at, failure = row
    with _damage_told(domain):
        policy = _policy(mode, mx, max_age)
        trouble = FetchFailure(**orjson.loads(failure)) if failure else None
        shown = _inflate(text, policy)
    return CachedPolicy(Domain(domain), record_id, policy, shown, fetched_at, trouble)


def version_of(row: Sequence[Any]) -> PolicyVersion:
    """What a row of VERSION_ROWS says. Raises sqlite3.DataError where it is damaged."""
    record_id, mode, mx, max_age, text, first_seen, last_seen, seen_by, ended = row
    with _damage_told(record_id):
        policy = _policy(mode, mx, max_age) or Policy()
        shown = _inflate(text, policy)
    return PolicyVersion(record_id, policy, shown, first_seen, last_seen, ended, seen_by)


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    try:
        yield
    except (zlib.error, ValueError, TypeError) as error:
        raise sqlite3.DataError(f"the row of {name!r} is damaged: {error}") from error


def values_of(cached: CachedPolicy) -> dict[str, Any]:
    """The columns of KEPT_ROWS."""
    policy = cached.policy
    return {
        "domain": cached.domain,
        "record_id": cached.record_id,
        "mode": policy and policy.mode,
        "mx": policy and " ".join(policy.mx),
        "max_age": policy and policy.max_age,
        "text": _deflate(cached.text, policy),
        "fetched_at": cached.fetched_at,
        "failure": failure_text(cached.failure),
    }


def failure_text(failure: FetchFailure | None) -> str | None:
    """The column `failure`."""
    return orjson.dumps(failure).decode() if failure else None


def _policy(mode: str | None, mx: str | None, max_age: int) -> Policy | None:
    if mode is None:
        return None
    return Policy(version="STSv1", mode=mode, mx=tuple((mx or "").split()), max_age=max_age)


# A million policies are kept in 200 MB: the columns say most of the text already, so it is deflated
# with them as its dictionary, to a dozen octets as a rule
def _deflate(text: str, policy: Policy | None) -> bytes | str:
    if policy is None:
        return text
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=print_policy(policy).encode())
    return packer.compress(text.encode()) + packer.flush()


def _inflate(text: bytes | str, policy: Policy | None) -> str:
    if isinstance(text, str) or policy is None:
        return str(text)
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=print_policy(policy).encode())
    return unpacker.decompress(text).decode()
