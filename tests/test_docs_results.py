"""The examples of docs/results.md are what the functions give."""

import doctest
from pathlib import Path

from relay.mta_sts import (
    MtaStsError,
    Policy,
    PolicyResult,
    get_policy,
    parse_policy,
    parse_txt,
    validate_mx,
)
from relay.mta_sts.policy import moment

PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def test_every_example() -> None:
    names = {
        one.__name__: one
        for one in (
            *(MtaStsError, Policy, PolicyResult),
            *(get_policy, moment, parse_policy, parse_txt, validate_mx),
        )
    }
    text = PAGE.read_text("utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, dict(names), PAGE.name, str(PAGE), 0)
    results = doctest.DocTestRunner().run(examples)
    assert results.attempted >= 12
    assert results.failed == 0
