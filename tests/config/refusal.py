"""How a value is refused: in words that say what it must be."""

from collections.abc import Callable

from hypothesis import strategies as st

ANYTHING: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.builds(list)
)


def refusal(parse: Callable[[object], object], written: object) -> str | None:
    """The words; None: the value is taken."""
    try:
        parse(written)
    except ValueError as error:
        return str(error)
    return None
