"""The table of rules this project follows, read from rows/*.toml; how to add a row is in
docs/contributing.md. Knows no test and no page."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROWS = Path(__file__).parent / "rows"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: where it stands, how binding it is, what it asks, and how it is proved.

    By `tests` that name it, by those of the rows in `see`, or not yet: `planned` then says why, and
    is None otherwise.
    """

    id: str
    where: tuple[str, ...]
    level: str
    rule: str
    tests: tuple[str, ...]
    see: tuple[str, ...]
    planned: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one file, in its order."""

    path: Path
    title: str
    about: str
    rows: tuple[Row, ...]


def load(directory: Path = ROWS) -> list[Section]:
    """All sections, in the order of the file names. Raises ValueError where a file is no table."""
    return [_section(path) for path in sorted(directory.glob("*.toml"))]


def _section(path: Path) -> Section:
    table = tomllib.loads(path.read_text("utf-8"))
    title, about = table.pop("title"), table.pop("about")
    return Section(path, title, about, tuple(_row(id, keys) for id, keys in table.items()))


def _row(id: str, keys: dict[str, Any]) -> Row:
    row = Row(
        id,
        tuple(keys.pop("where")),
        keys.pop("level"),
        keys.pop("rule"),
        tuple(keys.pop("tests", ())),
        tuple(keys.pop("see", ())),
        keys.pop("planned", None),
    )
    if keys:
        raise ValueError(f"{id} has unknown keys: {', '.join(keys)}")
    return row
