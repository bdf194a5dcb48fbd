"""All settings together, and what follows from them: paths, the relay's name, a domain's route."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from relay.address import AddressError, parse_domain
from relay.config.rule import sections
from relay.config.sections import (
    Alert,
    Delivery,
    Dns,
    Limit,
    MtaSts,
    Queue,
    Require,
    Route,
    Server,
    Storage,
    Tls,
    Violations,
    Waiver,
)
from relay.delivery.next_hop import find_route


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the configuration says.

    `directory` is the file's own: the properties give paths as seen from there, the fields as
    written.
    """

    server: Server = field(default=Server())
    storage: Storage = field(default=Storage())
    queue: Queue = field(default=Queue())
    dns: Dns = field(default=Dns())
    tls: Tls = field(default=Tls())
    mta_sts: MtaSts = field(default=MtaSts())
    delivery: Delivery = field(default=Delivery())
    route: tuple[Route, ...] = sections(Route)
    require: tuple[Require, ...] = sections(Require)
    waiver: tuple[Waiver, ...] = sections(Waiver)
    limit: tuple[Limit, ...] = sections(Limit)
    alert: Alert = field(default=Alert())
    violations: Violations = field(default=Violations())
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
    def alert_command(self) -> tuple[str, ...] | None:
        """The command for alerts; a program named without a slash is looked for in PATH."""
        if self.alert.command is None:
            return None
        program, *arguments = self.alert.command
        return (str(self.directory / program) if "/" in program else program, *arguments)

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
