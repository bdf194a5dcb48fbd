"""`relay policy history`: the versions of a domain's policy and what changed between them."""

from collections.abc import Iterator, Sequence
from typing import Any

from relay.cli.moments import moment
from relay.cli.output import printable
from relay.cli.policy_text import span
from relay.mta_sts.change import losses
from relay.mta_sts.policy import PolicyVersion
from relay.timestamp import rfc3339

_Fields = dict[str, Any]


def describe_history(versions: Sequence[PolicyVersion]) -> Iterator[str]:
    """The versions as lines for people, the oldest first."""
    for line in _lines(versions):
        yield printable(line)


def history_objects(domain: str, versions: Sequence[PolicyVersion]) -> Iterator[_Fields]:
    """The versions as objects for programs (docs/policies.md)."""
    for before, after in zip([None, *versions], versions, strict=False):
        yield {
            "domain": domain,
            **_fields(after),
            "first_seen": rfc3339(after.first_seen),
            "last_seen": rfc3339(after.last_seen),
            "ended": None if after.ended is None else rfc3339(after.ended),
            "seen_by": after.seen_by,
            "changes": words(before, after) if before else [],
            "diff": diff(before, after) if before else {},
        }


def words(before: PolicyVersion, after: PolicyVersion) -> list[str]:
    """What changed, in words, at least one sentence."""
    old, new = before.policy, after.policy
    told = []
    if losses(old, new):
        told.append("protects less than the version before")
    if old.mode != new.mode:
        told.append(f"mode {old.mode} became {new.mode}")
    if old.max_age != new.max_age:
        told.append(f"max_age went from {span(old.max_age)} to {span(new.max_age)}")
    for verb, more, less in (("new", new.mx, old.mx), ("gone", old.mx, new.mx)):
        if names := [name for name in more if name not in less]:
            told.append(f"{verb}: {', '.join(names)}")
    if not told and set(old.mx) == set(new.mx) and before.text != after.text:
        told.append("only the file's wording changed")
    return told or ["only the record's id changed"]


def diff(before: PolicyVersion, after: PolicyVersion) -> dict[str, dict[str, Any]]:
    """The fields that differ, each as it was and as it is."""
    old, new = _fields(before), _fields(after)
    return {
        name: {"before": old[name], "after": new[name]} for name in old if old[name] != new[name]
    }


def _fields(version: PolicyVersion) -> _Fields:
    policy = version.policy
    return {
        "id": version.record_id,
        "mode": policy.mode,
        "max_age": policy.max_age,
        "mx": list(policy.mx),
    }


def _lines(versions: Sequence[PolicyVersion]) -> Iterator[str]:
    for before, after in zip([None, *versions], versions, strict=False):
        yield _headline(after)
        if before is None:
            yield from (f"    {line}" for line in _flat(_fields(after)))
            continue
        yield from (f"  {text}" for text in words(before, after))
        old, new = _flat(_fields(before)), _flat(_fields(after))
        yield from (f"  - {line}" for line in old if line not in new)
        yield from (f"  + {line}" for line in new if line not in old)


def _headline(version: PolicyVersion) -> str:
    end = "now" if version.ended is None else moment(version.ended)
    first, last = moment(version.first_seen), moment(version.last_seen)
    by = _BY.get(version.seen_by, version.seen_by)
    return f"{first} to {end}, first seen by {by}, last fetched {last}"


_BY = {"delivery": "a delivery", "refresh": "the daily refresh", "command": "a command"}


def _flat(fields: _Fields) -> list[str]:
    rows = [f"{name}: {fields[name]}" for name in ("id", "mode", "max_age")]
    return [*rows, *(f"mx: {pattern}" for pattern in fields["mx"])]
