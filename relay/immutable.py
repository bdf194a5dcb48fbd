"""Classes of values: compared by their fields, never changed. Knows none of them."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


# What is `frozen` at run time costs thrice as much to make, and thirty are made for a message: so
# it is the type checker that keeps them from being changed
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def immutable(cls: type[T]) -> type[T]:
    """A dataclass with slots, hashable; to assign to a field is an error for type checkers alone.

    What programs of others are given is frozen at run time, too: there use `dataclass`.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
