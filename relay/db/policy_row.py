"""Rows of the policy database as the objects they hold, and back."""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from relay.address import Domain
from relay.mta_sts.policy import (
    CachedPolicy,
    FetchFailure,
    Policy,
    PolicyVersion,
    parse_policy,
    print_policy,
)

KEPT_ROWS = "SELECT domain, record_id, policy, fetched_at, failure FROM policy"
VERSION_ROWS = """
  SELECT domain, record_id, policy, first_seen, last_seen, seen_by, ended FROM (
    SELECT 0 AS kept, * FROM past WHERE domain = :domain
    UNION ALL
    SELECT 1 AS kept, number, domain, record_id, policy, first_seen, fetched_at, seen_by, NULL
    FROM policy WHERE domain = :domain AND policy IS NOT NULL
  ) ORDER BY kept, number"""


def cached_of(row: Sequence[Any]) -> CachedPolicy:
    """What a row of KEPT_ROWS says. Raises sqlite3.DataError where it is damaged."""
    domain, record_id, packed, fetched_at, failure = row
    with _damage_told(domain):
        policy, text = (None, "") if packed is None else _unpack(packed, domain)
        trouble = _failure(failure) if failure else None
    return CachedPolicy(Domain(domain), record_id, policy, text, fetched_at, trouble)


def version_of(row: Sequence[Any]) -> PolicyVersion:
    """What a row of VERSION_ROWS says. Raises sqlite3.DataError where it is damaged."""
    domain, record_id, packed, first_seen, last_seen, seen_by, ended = row
    with _damage_told(domain):
        policy, text = _unpack(packed, domain)
    return PolicyVersion(record_id, policy, text, first_seen, last_seen, ended, seen_by)


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    try:
        yield
    except (zlib.error, ValueError, TypeError) as error:
        raise sqlite3.DataError(f"the row of {name!r} is damaged: {error}") from error


def values_of(cached: CachedPolicy) -> dict[str, Any]:
    """The columns of KEPT_ROWS."""
    return {
        "domain": cached.domain,
        "record_id": cached.record_id,
        "policy": _pack(cached.policy, cached.text, cached.domain) if cached.policy else None,
        "fetched_at": cached.fetched_at,
        "failure": failure_text(cached.failure),
    }


def failure_text(failure: FetchFailure | None) -> str | None:
    """The column `failure`."""
    if failure is None:
        return None
    import orjson

    return orjson.dumps(failure).decode()


def _failure(text: str) -> FetchFailure:
    import orjson  # 5 ms, and few policies have a failure

    failure = FetchFailure(**orjson.loads(text))
    return replace(failure, earlier=tuple((id, at) for id, at in failure.earlier))


# The policy is kept twice, as it was understood and as it was served: another version of the parser
# must not change what holds. Deflated, both take some thirty octets together, so that a million
# policies fit into 200 MB
def _pack(policy: Policy, text: str, domain: str) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_usual(domain))
    return packer.compress(f"{print_policy(policy)}\n{text}".encode()) + packer.flush()


def _unpack(packed: bytes | str, domain: str) -> tuple[Policy, str]:
    if isinstance(packed, bytes):
        unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_usual(domain))
        packed = unpacker.decompress(packed).decode()
    printed, _, text = packed.partition("\n\n")
    return parse_policy(printed.encode()), text


# What a policy of the domain is likely to say, the likeliest last. Never to be changed: what is
# kept can only be read with it
def _usual(domain: str) -> bytes:
    return (
        f"mx: mail.{domain}\nmx: *.{domain}\nmode: none\nmode: testing\nversion: STSv1\n"
        f"mode: enforce\nmx: mx.{domain}\nmax_age: 86400\nmax_age: 2592000\nmax_age: 604800\n"
    ).encode()
