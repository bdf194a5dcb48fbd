"""A small internet on loopback: CA, DNS, policy host and MX hosts, for the demo and the tests.

It plays the other side and knows nothing of the relay but the keys of its configuration.
"""

import contextlib
import errno
import json
import socket
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, Unpack

from relay.clock import SystemClock
from relay.lab import dns, smtp
from relay.lab.ca import Certificate, CertificateAuthority
from relay.lab.mx_host import Behaviour, MxHost
from relay.lab.policy_host import PolicyHost, Site

Mode = Literal["enforce", "testing", "none"]


class World:
    """The parts by name; `start` makes one and everything is gone when its context ends.

    `ca` is what the relay trusts, by `ca_file`; `foreign_ca` is good but trusted by nobody. At
    127.0.0.1 and `smtp_port` nobody listens, and nobody else can.
    """

    def __init__(self, directory: Path, now: float) -> None:
        self.ca = CertificateAuthority(directory / "ca", now)
        self.foreign_ca = CertificateAuthority(directory / "foreign-ca", now)
        self.ca_file = self.ca.ca_file
        self.dns = dns.DnsServer()
        self.web = PolicyHost(self.ca.issue(["web.lab.test"]))
        self.smtp_port = 0
        self._addresses = (f"127.0.{high}.{low}" for high in range(1, 255) for low in range(1, 255))
        self._running = contextlib.AsyncExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls, directory: Path | None = None, *, now: float | None = None
    ) -> AsyncIterator["World"]:
        """A running world without any domain.

        Its files go to `directory`, None means a temporary one. Certificates are valid around
        `now`, in seconds since 1970, None means the present.
        """
        with tempfile.TemporaryDirectory() as temporary:
            present = SystemClock().now() if now is None else now
            world = cls(directory or Path(temporary), present)
            async with world._running as running:
                await running.enter_async_context(dns.running(world.dns))
                await running.enter_async_context(world.web.running())
                world.smtp_port = running.enter_context(_reserved_port())
                yield world

    @property
    def https_port(self) -> int:
        """The port of the policy host."""
        return self.web.port

    def policy_host(
        self,
        domain: str,
        body: str | bytes,
        *,
        id: str = "20260101",
        certificate: Certificate | None = None,
    ) -> Site:
        """Publish a policy: TXT record, address and site. A second time it changes body and id.

        `certificate` None means a good one.
        """
        name, body = f"mta-sts.{domain}", body.encode() if isinstance(body, str) else body
        self.dns.replace(f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={id};")
        self.dns.replace(name, "A", "127.0.0.1")
        site = self.web.sites.setdefault(name, Site(name, self.ca.issue([name]), body))
        site.body, site.certificate = body, certificate or site.certificate
        return site

    async def mx_host(
        self,
        name: str,
        *,
        certificate: Certificate | None = None,
        address: str | None = None,
        **behaviour: Unpack[Behaviour],
    ) -> MxHost:
        """Start an MX host and add its address record; `certificate` None means a good one.

        `address` None means a new one in 127.0.0.0/8; "::1" works where the machine has it.
        """
        certificate = certificate or self.ca.issue([name])
        while True:
            place = address or next(self._addresses)
            host = MxHost(name, place, certificate, **behaviour)
            try:
                await self._running.enter_async_context(smtp.listening(host, self.smtp_port))
            except OSError as error:
                if address or error.errno != errno.EADDRINUSE:
                    raise
            else:
                self.dns.add(name, "AAAA" if ":" in place else "A", place)
                return host

    def domain(
        self,
        name: str,
        *,
        mx: Iterable[tuple[int, str]],
        policy: Mode | None = None,
        patterns: Iterable[str] | None = None,
        max_age: int = 604800,
    ) -> Site | None:
        """Set a domain's MX records and its policy; the site, None where it has no policy.

        `patterns` None lists the MX hosts themselves; `max_age` is in seconds.
        """
        hosts = list(mx)
        self.dns.replace(name, "MX", *(f"{preference} {host}." for preference, host in hosts))
        if policy is None:
            return None
        listed = [host for _, host in hosts] if patterns is None else patterns
        return self.policy_host(name, policy_text(policy, listed, max_age))

    def config(self, storage: Path, *, listen: str = "127.0.0.1:0", extra: str = "") -> str:
        """The configuration (TOML) of a relay that lives in this world.

        `extra` is TOML too; its keys come on top of those that the world gives.
        """
        sections: dict[str, dict[str, Any]] = {
            "server": {"listen": [listen], "hostname": "relay.lab.test"},
            "storage": {"url": f"sqlite:{storage}"},
            "dns": {"nameservers": ["{}:{}".format(*self.dns.address)]},
            "tls": {"ca_file": str(self.ca_file)},
            "mta_sts": {"https_port": self.https_port},
            "delivery": {"port": self.smtp_port, "allow_internal": ["127.0.0.0/8", "::1/128"]},
            "violations": {"log": str(storage / "violations.jsonl")},
        }
        more = tomllib.loads(extra)
        tables = {name: more.pop(name) for name, keys in list(more.items()) if type(keys) is list}
        for section, keys in more.items():
            sections.setdefault(section, {}).update(keys)
        texts = [_toml(f"[{section}]", keys) for section, keys in sections.items()]
        texts += [_toml(f"[[{name}]]", keys) for name, each in tables.items() for keys in each]
        return "\n".join(texts)


def policy_text(mode: Mode, patterns: Iterable[str], max_age: int = 604800) -> str:
    """A policy as it is served (RFC 8461 §3.2); `max_age` is in seconds."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {pattern}" for pattern in patterns)]
    return "".join(f"{line}\r\n" for line in [*lines, f"max_age: {max_age}"])


# A JSON string, number, boolean or list of them is TOML as it stands
def _toml(heading: str, keys: dict[str, Any]) -> str:
    lines = (f"{key} = {_value(value)}\n" for key, value in keys.items())
    return f"{heading}\n{''.join(lines)}"


def _value(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else json.dumps(value)


# Bound and not listening: the port stays ours, and whoever connects to it is refused
@contextlib.contextmanager
def _reserved_port() -> Iterator[int]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
