"""How a key of the file is read, as a field of a dataclass. Knows no key."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """How one key is read: `parse` a value, or each item of a list of at least `least` items.

    `written` is the default as it would stand in the file; None where the key may be absent only.
    `secret`: no error repeats the value.
    """

    parse: Callable[[Any], Any]
    written: Any
    least: int | None = None
    secret: bool = False

    @property
    def default(self) -> Any:
        """The value where the file does not name the key."""
        if self.written is None:
            return None
        if self.least is None:
            return self.parse(self.written)
        return tuple(self.parse(item) for item in self.written)


def setting(parse: Callable[[Any], Any], written: Any = None, *, secret: bool = False) -> Any:
    """A key with one value."""
    return _field(Rule(parse, written, secret=secret))


def setting_list(
    parse: Callable[[Any], Any], written: Any = None, *, least: int = 0, secret: bool = False
) -> Any:
    """A key with a list of values."""
    return _field(Rule(parse, written, least, secret))


def required(parse: Callable[[Any], Any]) -> Any:
    """A key that has no default."""
    return field(metadata={"rule": Rule(parse, None)})


def sections(kind: type[Any]) -> Any:
    """A section that there may be several of, [[name]], each of this kind."""
    return field(default=(), metadata={"kind": kind})


def _field(rule: Rule) -> Any:
    return field(default=rule.default, metadata={"rule": rule})
