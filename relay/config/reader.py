"""A TOML table becomes settings; every fault is told with its key. Opens no file."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date, time
from pathlib import Path
from typing import Any

from relay.config.rule import Rule
from relay.config.settings import Settings

_SECTIONS = {part.name: part for part in fields(Settings) if part.name != "directory"}


def read(table: Mapping[str, Any], directory: Path) -> tuple[Settings, list[str]]:
    """The settings and what is wrong with them: where anything is, they are not to be used."""
    faults = _unknown("", table, _SECTIONS)
    sections = {
        name: _part(part, table[name], faults) for name, part in _SECTIONS.items() if name in table
    }
    return Settings(**sections, directory=directory), faults


# A section that there may be several of, [[name]], knows the kind of each; others are their default
def _part(part: Field[Any], written: object, faults: list[str]) -> Any:
    name, kind = part.name, part.metadata.get("kind")
    if kind is None and isinstance(written, dict):
        return _section(name, type(part.default), written, faults)
    if kind and isinstance(written, list) and all(isinstance(one, dict) for one in written):
        return tuple(_section(f"{name}[{i}]", kind, one, faults) for i, one in enumerate(written))
    faults.append(
        f"{name}: must be sections, [[{name}]]" if kind else f"{name}: must be a section, [{name}]"
    )
    return part.default


def _section(name: str, kind: type[Any], table: Mapping[str, Any], faults: list[str]) -> Any:
    known = {part.name: part for part in fields(kind)}
    faults += _unknown(f"{name}.", table, known)
    needed = [key for key, part in known.items() if part.default is MISSING]
    faults += [f"{name}.{key}: is missing" for key in needed if key not in table]
    found = {
        key: _value(f"{name}.{key}", known[key], written, faults)
        for key, written in table.items()
        if key in known
    }
    return kind(**(dict.fromkeys(needed) | found))


def _value(key: str, part: Field[Any], written: object, faults: list[str]) -> Any:
    rule: Rule = part.metadata["rule"]
    if rule.least is None:
        return _one(key, rule, written, faults)
    if not isinstance(written, list) or len(written) < rule.least:
        wanted = "a list" if not rule.least else f"a list of at least {rule.least}"
        faults.append(f"{key}: must be {wanted}{_shown(rule, written)}")
        return None
    return tuple(_one(f"{key}[{i}]", rule, item, faults) for i, item in enumerate(written))


def _one(key: str, rule: Rule, written: object, faults: list[str]) -> Any:
    try:
        return rule.parse(written)
    except ValueError as error:
        faults.append(f"{key}: {error}{_shown(rule, written)}")
        return None


def _shown(rule: Rule, written: object) -> str:
    match written:
        case _ if rule.secret:
            return ""
        case dict():
            # it holds anything, and may be credentials that belong into their own file
            return ", not a table"
        case date() | time():
            return f", not {written.isoformat()}"
        case _:
            return f", not {written!r}"


def _unknown(prefix: str, table: Iterable[str], known: Iterable[str]) -> list[str]:
    names = list(known)
    what = "key" if prefix else "section"
    return [
        f"{prefix}{name}: no such {what}; {_suggestion(name, names)}"
        for name in table
        if name not in names
    ]


def _suggestion(name: str, known: list[str]) -> str:
    import difflib  # 2 ms, and only for typing errors

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
