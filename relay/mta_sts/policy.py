"""The policy file (RFC 8461 §3.2) and what is kept of it. Pure; knows no HTTP and no cache."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from relay.address import Domain
from relay.evidence import PolicySnapshot
from relay.mta_sts.error import MtaStsError
from relay.timestamp import rfc3339

MODES = ("enforce", "testing", "none")
_MAX_AGE_LIMIT = 31_557_600  # a year, RFC 8461 §3.2
_LINE_END = re.compile(rb"\r?\n")
_LINE = re.compile(rb"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):(.*)", re.DOTALL)
_NUMBER = re.compile(rb"[0-9]{1,10}")
_LABEL = rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PATTERN = re.compile(rb"(?:\*\.)?" + _LABEL + rb"(?:\." + _LABEL + rb")*")
_NAME_LIMIT = 255
_NOTED = 100  # patterns kept with a finding; with all a file has room for, records would fill disks


@dataclass(frozen=True)
class Policy:
    """A policy as it applies, or the word that there is none (mode "none", `version` None).

    `id` None: no record was had. `max_age` in seconds. `expires` None: it is not known (a policy
    just parsed) or nothing is kept; with an `error` and no policy it is when the next try is due.
    """

    id: str | None = None
    version: str | None = None
    mode: str = "none"
    mx: tuple[str, ...] = ()
    max_age: int = 0
    expires: datetime | None = None
    error: MtaStsError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The documented object; what does not apply is absent, `id` is False without one."""
        shown: dict[str, Any] = {"id": self.id or False}
        if self.version:
            shown["version"] = self.version
        shown["mode"] = self.mode
        if self.mode != "none":
            shown["mx"] = list(self.mx)
        if self.version:
            shown["maxAge"] = self.max_age
        if self.expires:
            shown["expires"] = rfc3339(self.expires.timestamp())
        if self.error:
            shown["error"] = self.error.as_dict()
        return shown


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """A look-up that failed: not tried again for the same record id before `next_try`.

    Times in seconds since 1970. `record_id` None: the record itself could not be had. It is the
    `count`th in a row; the first was at `since`. `told_at` None: the operator has not been warned
    of the row. `gone`: the record is not there, though a policy was found by it before. `earlier`
    has other record ids that failed shortly before, and when each is tried again.
    """

    code: str
    message: str
    record_id: str | None
    at: float
    next_try: float
    count: int
    since: float
    told_at: float | None = None
    gone: bool = False
    earlier: tuple[tuple[str, float], ...] = ()

    @property
    def error(self) -> MtaStsError:
        """The error it was."""
        return MtaStsError(
            self.code, self.message, record_id=self.record_id, next_try=self.next_try
        )


@dataclass(frozen=True, slots=True)
class CachedPolicy:
    """What is kept of a domain: the last good policy and the last failure, either may be None.

    `record_id` is the id seen before the policy was fetched, `text` its body as served,
    `fetched_at` when it was last fetched, in seconds since 1970.
    """

    domain: Domain
    record_id: str | None = None
    policy: Policy | None = None
    text: str = ""
    fetched_at: float = 0.0
    failure: FetchFailure | None = None

    @property
    def expires(self) -> float:
        """When the policy ends: max_age counts from the last successful fetch."""
        return self.fetched_at + (self.policy.max_age if self.policy else 0)

    def snapshot(self) -> PolicySnapshot | None:
        """The policy as evidence holds it."""
        policy = self.policy
        if policy is None:
            return None
        mx = policy.mx[:_NOTED]
        return PolicySnapshot(self.record_id, policy.mode, mx, policy.max_age, self.expires)


SeenBy = Literal["delivery", "refresh", "command"]
"""Which look-up has seen a policy: one for mail, the daily one, or one that a person asked for."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy that a domain has or had: what was served, with which record id, and when.

    Times in seconds since 1970: first and last fetched so, and when another one was seen in its
    place or it was removed; `ended` None: it is the one kept.
    """

    record_id: str | None
    policy: Policy
    text: str
    first_seen: float
    last_seen: float
    ended: float | None
    seen_by: SeenBy


@dataclass(frozen=True)
class PolicyResult:
    """What a look-up came to; `status` is found, renewed, not_found or errored."""

    policy: Policy
    status: str

    def as_dict(self) -> dict[str, Any]:
        """The documented object."""
        return {"policy": self.policy.as_dict(), "status": self.status}


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def print_policy(policy: Policy) -> str:
    """The policy as a file, which parses to the same (RFC 8461 §3.2)."""
    lines = ["version: STSv1", f"mode: {policy.mode}", *(f"mx: {one}" for one in policy.mx)]
    return "".join(f"{line}\n" for line in [*lines, f"max_age: {policy.max_age}"])


def parse_policy(body: bytes) -> Policy:
    """The policy in a file's body, without id and expiry. Raises MtaStsError naming the first fault
    in the order version, mode, max_age, mx; lines that are no field are passed over."""
    fields, patterns = _read(body)
    if fields.get(b"version") != b"STSv1":
        raise _wrong("version", fields.get(b"version"), "STSv1")
    mode = fields.get(b"mode", b"").decode("ascii", "replace")
    if mode not in MODES:
        raise _wrong("mode", fields.get(b"mode"), "enforce, testing or none")
    max_age = fields.get(b"max_age", b"")
    if not _NUMBER.fullmatch(max_age) or int(max_age) > _MAX_AGE_LIMIT:
        raise _wrong("max_age", fields.get(b"max_age"), f"a number from 0 to {_MAX_AGE_LIMIT}")
    for pattern in patterns:
        if len(pattern) > _NAME_LIMIT or not _PATTERN.fullmatch(pattern):
            raise _wrong("mx", pattern, "a host name, or *. and a domain")
    # RFC 8461 §3.2: a policy that is not "none" lists at least one host
    if not patterns and mode != "none":
        raise _wrong("mx", None, "at least one host name")
    names = tuple(dict.fromkeys(pattern.decode("ascii").lower() for pattern in patterns))
    return Policy(version="STSv1", mode=mode, mx=names, max_age=int(max_age))


def read_lines(body: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes] | None]]:
    """Each line of a policy file with its key and value; None where it is no field.

    After a final line end comes an empty line that is none.
    """
    # RFC 8461 §3.2: CRLF or LF ends a line and nothing else does
    for line in _LINE_END.split(body):
        found = _LINE.fullmatch(line)
        # blanks are no matter for the pattern: long runs of them would take it quadratic time
        yield line, (found[1], found[2].strip(b" \t")) if found else None


# RFC 8461 §3.2: a duplicate's first one counts
def _read(body: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    fields: dict[bytes, bytes] = {}
    patterns: list[bytes] = []
    for _, field in read_lines(body):
        if field is None:
            continue
        if field[0] == b"mx":
            patterns.append(field[1])
        else:
            fields.setdefault(*field)
    return fields, patterns


def _wrong(field: str, value: bytes | None, allowed: str) -> MtaStsError:
    seen = "is missing" if value is None else f"is {value[:80].decode('utf-8', 'replace')!a}"
    message = f"the policy's {field} {seen}; allowed is {allowed}"
    return MtaStsError(f"invalid_sts_{field}", message)
