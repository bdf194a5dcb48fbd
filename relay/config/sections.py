"""The sections of the file, one class each; each field knows its default as written in the file.

Plain dataclasses: a validation library would cost reading commands more time than all their work.
"""

from dataclasses import dataclass
from pathlib import Path

from relay.address import Network
from relay.config import network_values, values, waiver_values
from relay.config.rule import required, setting, setting_list
from relay.delivery.next_hop import NextHop


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where mail comes in, and from whom. Times in seconds, sizes in octets.

    `hostname` None: the machine's own, see `Settings.hostname`. `tls_cert` None: no TLS for
    clients; `tls_key` None: in the same file. `users` None: nobody can log in. `workers` 0: one per
    core.
    """

    listen: tuple[tuple[str, int], ...] = setting_list(
        network_values.listener, ["127.0.0.1:2525"], least=1
    )
    listen_tls: tuple[tuple[str, int], ...] = setting_list(network_values.listener, [])
    tls_cert: Path | None = setting(values.path)  # noqa: RUF009
    tls_key: Path | None = setting(values.path)  # noqa: RUF009
    hostname: str | None = setting(network_values.host_name)
    allow: tuple[Network, ...] = setting_list(network_values.network, ["127.0.0.0/8", "::1/128"])
    users: Path | None = setting(values.path)  # noqa: RUF009
    max_message_size: int = setting(values.message_size, "50MiB")
    max_recipients: int = setting(values.whole(100), 1000)
    max_received: int = setting(values.whole(1), 100)
    bare_newlines: str = setting(values.one_of("refuse", "normalise"), "refuse")
    max_connections: int = setting(values.whole(1), 2000)
    max_connections_per_client: int = setting(values.whole(1), 50)
    timeout: float = setting(values.duration, "5m")
    message_timeout: float = setting(values.duration, "1h")
    workers: int = setting(values.whole(0), 1)
    loop: str = setting(values.one_of("auto", "asyncio", "uvloop"), "auto")
    stop_timeout: float = setting(values.duration_or_zero, "15s")

    @property
    def listeners(self) -> tuple[tuple[str, int], ...]:
        """Every address listened on."""
        return self.listen + self.listen_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where mail is kept until it is settled; `reserve` is in octets."""

    url: str = setting(values.storage_url, "sqlite:./var")
    reserve: int = setting(values.size, "64MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """When to try again and when to give up, in seconds; None is never.

    `postmaster` has the mail for ours, and is told of failures that no sender can be told; None:
    only the log has those.
    """

    retry: tuple[float, ...] = setting_list(
        values.duration, ["1m", "5m", "15m", "30m", "1h", "2h", "4h"], least=1
    )
    lifetime: float = setting(values.duration, "5d")
    warn_after: float | None = setting(values.duration_or_never, "4h")
    warn_after_policy: float | None = setting(values.duration_or_never, "1h")
    watch: float | None = setting(values.duration_or_never, "10s")
    postmaster: str | None = setting(network_values.mailbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Who is asked, and how long in seconds; `nameservers` None: the system's resolv.conf."""

    nameservers: tuple[tuple[str, int], ...] | None = setting_list(
        network_values.nameserver, least=1
    )
    timeout: float = setting(values.duration, "5s")


_LEVELS = values.one_of("opportunistic", "encrypt", "verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Whom to trust (`ca_file` None: the system), and the least TLS where enforce does not rule.

    `remember` "enforce": also what was once seen of a domain.
    """

    ca_file: Path | None = setting(values.path)  # noqa: RUF009
    testing: str = setting(_LEVELS, "encrypt")
    no_policy: str = setting(_LEVELS, "opportunistic")
    remember: bool | str = setting(values.remember, written=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MtaSts:
    """How policies are fetched; seconds for the whole transfer. `proxy` None: without one."""

    fetch_timeout: float = setting(values.duration, "60s")
    https_port: int = setting(network_values.port, 443)
    proxy: str | None = setting(network_values.proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How MX hosts are talked to; times in seconds. Sources None: the system chooses."""

    port: int = setting(network_values.port, 25)
    allow_internal: tuple[Network, ...] = setting_list(network_values.network, [])
    idle_timeout: float = setting(values.duration_or_zero, "10s")
    connections_per_domain: int = setting(values.whole(1), 20)
    connections_per_host: int = setting(values.whole(1), 20)
    source_ipv4: str | None = setting(network_values.address(4))
    source_ipv6: str | None = setting(network_values.address(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One [[route]]: where mail for a domain goes instead of to its own MX hosts.

    `tls` stands in the place of [tls]. `credentials` None: the relay does not log in.
    """

    domain: str = required(network_values.domain_pattern)
    next_hop: NextHop = required(network_values.next_hop)  # noqa: RUF009
    tls: str = setting(_LEVELS, "verify")
    credentials: Path | None = setting(values.path)  # noqa: RUF009


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One [[limit]]: how much a recipient domain or an MX host is burdened with.

    One of `domain` and `mx` is a pattern. `connections` None: as in [delivery]; `rate`, messages a
    second, None: as they come.
    """

    domain: str | None = setting(network_values.domain_pattern)
    mx: str | None = setting(network_values.domain_pattern)
    connections: int | None = setting(values.whole(1))
    rate: float | None = setting(values.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """One [[require]]: the least TLS for a policy domain, or for those of a pattern."""

    domain: str = required(network_values.domain_pattern)
    tls: str = required(values.one_of("encrypt", "verify"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One [[waiver]]: which kinds of failure a policy domain is forgiven, until when, and why.

    `until` is in seconds since 1970.
    """

    domain: str = required(waiver_values.policy_domain)
    allow: tuple[str, ...] = required(waiver_values.kinds)
    until: float = required(waiver_values.moment)
    reason: str = required(waiver_values.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Who is told of new violations: a program with its arguments, a URL, both or (None) nobody."""

    command: tuple[str, ...] | None = setting_list(values.argument, least=1, secret=True)
    webhook: str | None = setting(network_values.webhook, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """Where violations are recorded; `keep` is how long the ledger has them, in seconds."""

    log: Path = setting(values.path, "./var/violations.jsonl")  # noqa: RUF009
    keep: float = setting(values.duration, "365d")
