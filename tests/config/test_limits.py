"""The limits of the configuration: what they bind, and what is wrong with them."""

from pathlib import Path
from tomllib import loads

import pytest

from relay import config
from relay.errors import ConfigError
from relay.pace import Bound

TEXT = """
[delivery]
connections_per_domain = 7
connections_per_host = 9
[[limit]]
domain = "*.Example.org"
connections = 2
rate = "120/m"
[[limit]]
domain = "a.example.org"
rate = "1/s"
[[limit]]
mx = "mx.example.net"
connections = 3
"""


@pytest.mark.parametrize(
    ("name", "domain", "host"),
    [
        ("b.example.org", Bound(2, 2.0), Bound(9)),
        ("a.example.org", Bound(7, 1.0), Bound(9)),
        ("example.org", Bound(7), Bound(9)),
        ("mx.example.net", Bound(7), Bound(3)),
        ("[192.0.2.1]", Bound(7), Bound(9)),
    ],
)
def test_the_closest_limit_binds(name: str, domain: Bound, host: Bound) -> None:
    settings = config.parse(loads(TEXT), Path())
    assert config.domain_bounds(settings)(name) == domain
    assert config.host_bounds(settings)(name) == host


def test_everybody_may_have_a_limit() -> None:
    settings = config.parse(loads('[[limit]]\ndomain = "*"\nrate = "1/s"\n'), Path())
    assert config.domain_bounds(settings)("x.test") == Bound(20, 1.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('domain = "a.test"', r"limit\[0\]: must have connections, a rate or both"),
        ("connections = 1", r"limit\[0\]: must name either a domain or an mx"),
        ('domain = "a.test"\nmx = "b.test"\nrate = "1/s"', r"limit\[0\]: must name either"),
        ('mx = "a.test"\nrate = "0/s"', r'limit\[0\].rate: .*"100/m"'),
        ('mx = "a.test"\nconnections = 0', r"limit\[0\].connections"),
        (
            'mx = "a.test"\nrate = "1/s"\n[[limit]]\nmx = "A.test"\nrate = "2/s"',
            r"limit\[1\]: a.test has a limit already, limit\[0\]",
        ),
    ],
)
def test_a_wrong_limit_is_told(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        config.parse(loads(f"[[limit]]\n{text}\n"), Path())
