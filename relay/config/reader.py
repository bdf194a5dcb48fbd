"""A TOML table becomes settings; every fault is told with its key. Opens no file."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from relay.config.sections import Rule, Settings

_SECTIONS: dict[str, Any] = {
    part.name: part.default for part in fields(Settings) if part.name != "directory"
}


def read(table: Mapping[str, Any], directory: Path) -> tuple[Settings, list[str]]:
    """The settings and what is wrong with them: where anything is, they are not to be used."""
    faults = _unknown("", table, _SECTIONS)
    sections = {}
    for name, default in _SECTIONS.items():
        written = table.get(name, {})
        if isinstance(written, dict):
            sections[name] = _section(name, type(default), written, faults)
        else:
            faults.append(f"{name}: must be a section, [{name}]")
    return Settings(**sections, directory=directory), faults


def _section(name: str, kind: type[Any], table: Mapping[str, Any], faults: list[str]) -> Any:
    known = {part.name: part for part in fields(kind)}
    faults += _unknown(f"{name}.", table, known)
    return kind(
        **{
            key: _value(f"{name}.{key}", known[key], written, faults)
            for key, written in table.items()
            if key in known
        }
    )


def _value(key: str, part: Field[Any], written: object, faults: list[str]) -> Any:
    rule: Rule = part.metadata["rule"]
    if rule.least is None:
        return _one(key, rule, written, faults)
    if not isinstance(written, list) or len(written) < rule.least:
        wanted = "a list" if not rule.least else f"a list of at least {rule.least}"
        faults.append(f"{key}: must be {wanted}, not {written!r}")
        return None
    return tuple(_one(f"{key}[{i}]", rule, item, faults) for i, item in enumerate(written))


def _one(key: str, rule: Rule, written: object, faults: list[str]) -> Any:
    try:
        return rule.parse(written)
    except ValueError as error:
        faults.append(f"{key}: {error}, not {written!r}")
        return None


def _unknown(prefix: str, table: Iterable[str], known: Iterable[str]) -> list[str]:
    names = list(known)
    what = "key" if prefix else "section"
    return [
        f"{prefix}{name}: no such {what}; {_suggestion(name, names)}"
        for name in table
        if name not in names
    ]


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
