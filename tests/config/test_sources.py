"""The addresses the relay calls from: one that this machine does not have is told."""

from pathlib import Path
from tomllib import loads

import pytest

from relay import config

NOW = 1_800_000_000.0


def told(text: str) -> list[str]:
    table = loads(f"server.hostname = 'relay.a.test'\n[delivery]\n{text}")
    return config.warnings(config.parse(table, Path()), NOW)


@pytest.mark.parametrize("text", ["", "source_ipv4 = '127.0.0.1'"])
def test_what_the_machine_has_is_in_order(text: str) -> None:
    assert told(text) == []


# TEST-NET-1 and the documentation prefix: no machine has them
@pytest.mark.parametrize(
    ("key", "address"), [("source_ipv4", "192.0.2.77"), ("source_ipv6", "2001:db8::77")]
)
def test_what_it_has_not_is_told(key: str, address: str) -> None:
    [warning] = told(f"{key} = '{address}'")
    assert warning.startswith(f"delivery.{key}: nothing can be sent from {address} (")
