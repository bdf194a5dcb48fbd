"""All tests as pytest collects them, and the rows that each of them names. Knows no table.

A test names a row by its own name (`test_sts_42_...`, `test_sts_45_and_46_...`), by the id of a
parameter ("STS-42: expired"), by a docstring of its function, class or module, or by the comment
above it.
"""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_IN_TEXT = re.compile(r"\b[A-Z]{3}-[0-9]{2}\b")
_IN_NAME = re.compile(r"_([a-z]{3})_([0-9]{2}(?:_and_[0-9]{2})*)(?![0-9])")


def collect() -> dict[str, set[str]]:
    """The rows named by each test function, by its node id without parameters.

    Raises RuntimeError where pytest cannot collect. In a process of its own: the one that asks may
    have collected only some of the tests.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.collection"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the tests cannot be collected:\n{done.stdout}{done.stderr}")
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return {node: set(rows) for node, rows in found.items()}


def named_in(name: str, texts: Iterable[str]) -> set[str]:
    """The ids in the name of a test and in texts about it."""
    pairs = _IN_NAME.findall(name)
    spelt = {f"{kind.upper()}-{number}" for kind, group in pairs for number in group.split("_and_")}
    return spelt.union(*(_IN_TEXT.findall(text) for text in texts))


class _Collector:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.nodeid.startswith("tests/conformance/"):
                continue
            function = item.nodeid.partition("[")[0]
            texts = [item.nodeid, *_words_about(item)]
            self.found.setdefault(function, set()).update(named_in(item.name, texts))


def _words_about(item: pytest.Item) -> Iterator[str]:
    for part in ("function", "cls", "module"):
        if documented := getattr(item, part, None):
            yield documented.__doc__ or ""
            yield inspect.getcomments(documented) or ""


def _main() -> None:
    collector = _Collector()
    status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[collector])
    found = {node: sorted(rows) for node, rows in collector.found.items()}
    sys.stdout.write(f"\n{json.dumps(found)}\n")
    sys.exit(status)


if __name__ == "__main__":
    _main()
