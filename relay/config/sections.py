"""The settings, one class a section; each field knows its default as written in the file.

Plain dataclasses: a validation library would cost reading commands more time than all their work.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from relay.address import AddressError, Network, parse_domain
from relay.config import values, waiver_values
from relay.delivery.next_hop import NextHop, find_route


@dataclass(frozen=True, slots=True)
class Rule:
    """How one key is read: `parse` a value, or each item of a list of at least `least` items.

    `written` is the default as it would stand in the file; None where the key may be absent only.
    """

    parse: Callable[[Any], Any]
    written: Any
    least: int | None = None

    @property
    def default(self) -> Any:
        """The value where the file does not name the key."""
        if self.written is None:
            return None
        if self.least is None:
            return self.parse(self.written)
        return tuple(self.parse(item) for item in self.written)


def _setting(parse: Callable[[Any], Any], written: Any = None) -> Any:
    return _field(Rule(parse, written))


def _list(parse: Callable[[Any], Any], written: Any = None, *, least: int = 0) -> Any:
    return _field(Rule(parse, written, least))


def _required(parse: Callable[[Any], Any]) -> Any:
    return field(metadata={"rule": Rule(parse, None)})


def _sections(kind: type[Any]) -> Any:
    return field(default=(), metadata={"kind": kind})


def _field(rule: Rule) -> Any:
    return field(default=rule.default, metadata={"rule": rule})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where mail comes in, and from whom. Times in seconds, sizes in octets.

    `hostname` None: the machine's own, see `Settings.hostname`. `tls_cert` None: no TLS for
    clients; `tls_key` None: in the same file. `users` None: nobody can log in. `workers` 0: one per
    core.
    """

    listen: tuple[tuple[str, int], ...] = _list(values.listener, ["127.0.0.1:2525"], least=1)
    listen_tls: tuple[tuple[str, int], ...] = _list(values.listener, [])
    tls_cert: Path | None = _setting(values.path)  # noqa: RUF009
    tls_key: Path | None = _setting(values.path)  # noqa: RUF009
    hostname: str | None = _setting(values.host_name)
    allow: tuple[Network, ...] = _list(values.network, ["127.0.0.0/8", "::1/128"])
    users: Path | None = _setting(values.path)  # noqa: RUF009
    max_message_size: int = _setting(values.message_size, "50MiB")
    max_recipients: int = _setting(values.whole(100), 1000)
    max_received: int = _setting(values.whole(1), 100)
    bare_newlines: str = _setting(values.one_of("refuse", "normalise"), "refuse")
    max_connections: int = _setting(values.whole(1), 2000)
    max_connections_per_client: int = _setting(values.whole(1), 50)
    timeout: float = _setting(values.duration, "5m")
    message_timeout: float = _setting(values.duration, "1h")
    workers: int = _setting(values.whole(0), 1)
    loop: str = _setting(values.one_of("auto", "asyncio", "uvloop"), "auto")
    stop_timeout: float = _setting(values.duration_or_zero, "15s")

    @property
    def listeners(self) -> tuple[tuple[str, int], ...]:
        """Every address listened on."""
        return self.listen + self.listen_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where mail is kept until it is settled; `reserve` is in octets."""

    url: str = _setting(values.storage_url, "sqlite:./var")
    reserve: int = _setting(values.size, "64MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """When to try again and when to give up, in seconds; `warn_after` None is never.

    `postmaster` has the mail for ours, and is told of failures that no sender can be told; None:
    only the log has those.
    """

    retry: tuple[float, ...] = _list(
        values.duration, ["1m", "5m", "15m", "30m", "1h", "2h", "4h"], least=1
    )
    lifetime: float = _setting(values.duration, "5d")
    warn_after: float | None = _setting(values.duration_or_never, "4h")
    postmaster: str | None = _setting(values.mailbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Who is asked, and how long in seconds; `nameservers` None: the system's resolv.conf."""

    nameservers: tuple[tuple[str, int], ...] | None = _list(values.nameserver, least=1)
    timeout: float = _setting(values.duration, "5s")


_LEVELS = values.one_of("opportunistic", "encrypt", "verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Whom to trust (`ca_file` None: the system), and the least TLS where enforce does not rule."""

    ca_file: Path | None = _setting(values.path)  # noqa: RUF009
    testing: str = _setting(_LEVELS, "encrypt")
    no_policy: str = _setting(_LEVELS, "opportunistic")


@dataclass(frozen=True, slots=True, kw_only=True)
class MtaSts:
    """How policies are fetched; seconds for the whole transfer. `proxy` None: without one."""

    fetch_timeout: float = _setting(values.duration, "60s")
    https_port: int = _setting(values.port, 443)
    proxy: str | None = _setting(values.proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How MX hosts are talked to; times in seconds. Sources None: the system chooses."""

    port: int = _setting(values.port, 25)
    allow_internal: tuple[Network, ...] = _list(values.network, [])
    idle_timeout: float = _setting(values.duration_or_zero, "10s")
    connections_per_domain: int = _setting(values.whole(1), 20)
    connections_per_host: int = _setting(values.whole(1), 20)
    source_ipv4: str | None = _setting(values.address(4))
    source_ipv6: str | None = _setting(values.address(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One [[route]]: where mail for a domain goes instead of to its own MX hosts.

    `tls` stands in the place of [tls]. `credentials` None: the relay does not log in.
    """

    domain: str = _required(values.domain_pattern)
    next_hop: NextHop = _required(values.next_hop)  # noqa: RUF009
    tls: str = _setting(_LEVELS, "verify")
    credentials: Path | None = _setting(values.path)  # noqa: RUF009


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One [[limit]]: how much a recipient domain or an MX host is burdened with.

    One of `domain` and `mx` is a pattern. `connections` None: as in [delivery]; `rate`, messages a
    second, None: as they come.
    """

    domain: str | None = _setting(values.domain_pattern)
    mx: str | None = _setting(values.domain_pattern)
    connections: int | None = _setting(values.whole(1))
    rate: float | None = _setting(values.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """One [[require]]: the least TLS for a policy domain, or for those of a pattern."""

    domain: str = _required(values.domain_pattern)
    tls: str = _required(values.one_of("encrypt", "verify"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One [[waiver]]: which kinds of failure a policy domain is forgiven, until when, and why.

    `until` is in seconds since 1970.
    """

    domain: str = _required(waiver_values.policy_domain)
    allow: tuple[str, ...] = _required(waiver_values.kinds)
    until: float = _required(waiver_values.moment)
    reason: str = _required(waiver_values.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """Where violations are recorded; `keep` is how long the ledger has them, in seconds."""

    log: Path = _setting(values.path, "./var/violations.jsonl")  # noqa: RUF009
    keep: float = _setting(values.duration, "365d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the configuration says.

    `directory` is the file's own: the properties give paths as seen from there, the fields as
    written.
    """

    server: Server = Server()
    storage: Storage = Storage()
    queue: Queue = Queue()
    dns: Dns = Dns()
    tls: Tls = Tls()
    mta_sts: MtaSts = MtaSts()
    delivery: Delivery = Delivery()
    route: tuple[Route, ...] = _sections(Route)
    require: tuple[Require, ...] = _sections(Require)
    waiver: tuple[Waiver, ...] = _sections(Waiver)
    limit: tuple[Limit, ...] = _sections(Limit)
    violations: Violations = Violations()
    directory: Path = Path()

    @property
    def hostname(self) -> str:
        """Our name in EHLO, Received and bounces: a full name, else an address literal.

        Where `server.hostname` is not set, the machine's name may cost a look-up.
        """
        return self.server.hostname or machine_name()

    def route_of(self, destination: str) -> Route | None:
        """The route for a Domain or an address literal; None: its own hosts."""
        return find_route(destination, {route.domain: route for route in self.route})

    @property
    def storage_directory(self) -> Path:
        """The directory of the databases."""
        return self.directory / self.storage.url.removeprefix("sqlite:")

    @property
    def violation_log(self) -> Path:
        """The violation log's path."""
        return self.directory / self.violations.log

    @property
    def tls_cert(self) -> Path | None:
        """The path of the certificate shown to clients; None for no TLS."""
        return self.directory / self.server.tls_cert if self.server.tls_cert else None

    @property
    def tls_key(self) -> Path | None:
        """The path of its key; None where it is in the same file."""
        return self.directory / self.server.tls_key if self.server.tls_key else None

    @property
    def users(self) -> Path | None:
        """The path of the file of those who may log in; None for nobody."""
        return self.directory / self.server.users if self.server.users else None

    @property
    def ca_file(self) -> Path | None:
        """The trusted roots' path; None for the system's."""
        return self.directory / self.tls.ca_file if self.tls.ca_file else None


@cache
def machine_name() -> str:
    """The machine's full name; where it has none, an address literal (RFC 5321 §4.1.1.1)."""
    import socket

    try:
        name = parse_domain(socket.getfqdn())
    except AddressError:
        name = parse_domain("localhost")
    if "." in name and not name.startswith("localhost."):
        return name
    try:
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    except OSError:
        return "[127.0.0.1]"
