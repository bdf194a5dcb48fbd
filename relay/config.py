"""The configuration: a TOML file becomes settings, or every error at once, each with its key.

Imports nothing of the network, so that commands which only read start quickly.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from relay.address import AddressError, Network, parse_domain
from relay.errors import ConfigError

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d{1,12})(KiB|MiB|GiB)?", re.ASCII)
_OCTETS = {None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):(\d{1,5})", re.ASCII)
_PORT_LIMIT = 65535
_PLACES = ("./config.toml", "/etc/relay/config.toml")


def _duration(value: object) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError('must be a duration such as "30s", "5m", "4h" or "5d"')
    return float(int(found[1]) * _SECONDS[found[2]])


def _positive_duration(value: object) -> float:
    seconds = _duration(value)
    if not seconds:
        raise ValueError("must be longer than 0s")
    return seconds


def _duration_or_never(value: object) -> float | None:
    return None if value == "never" else _positive_duration(value)


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found or not int(found[1]):
        raise ValueError('must be a size in bytes, or one such as "50MiB"')
    return int(found[1]) * _OCTETS[found[2]]


def _endpoint(value: object) -> tuple[str, int]:
    found = _ENDPOINT.fullmatch(value) if isinstance(value, str) else None
    host, port = (found[1] or found[2], int(found[3])) if found else ("", 0)
    try:
        address = str(ip_address(host))
    except ValueError:
        address = ""
    if not address or port > _PORT_LIMIT:
        raise ValueError('must be an address and a port such as "127.0.0.1:2525" or "[::1]:2525"')
    return address, port


def _network(value: object) -> Network:
    try:
        return ip_network(value) if isinstance(value, str) else _refuse()
    except ValueError as error:
        why = f" ({error})" if isinstance(value, str) else ""
        raise ValueError(f'must be a network such as "192.0.2.0/24" or "::1/128"{why}') from None


def _refuse() -> Network:
    raise ValueError


# RFC 5321 §4.1.1.1: the primary host name, or an address literal where there is none
def _hostname(value: object) -> str:
    try:
        name = parse_domain(value) if isinstance(value, str) else None
    except AddressError:
        name = None
    if not name or "." not in name:
        raise ValueError('must be a full host name such as "relay.example.org"')
    return name


def _storage_url(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("sqlite:") or value == "sqlite:":
        raise ValueError('must be "sqlite:" and a directory, such as "sqlite:./var"')
    return value


Duration = Annotated[float, BeforeValidator(_positive_duration)]
Size = Annotated[int, BeforeValidator(_size)]
Endpoint = Annotated[tuple[str, int], BeforeValidator(_endpoint)]
NetworkText = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Port = Annotated[int, Field(strict=True, ge=1, le=_PORT_LIMIT)]
Count = Annotated[int, Field(strict=True, ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Server(_Section):
    """Where mail comes in, and from whom."""

    listen: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = ("127.0.0.1:2525",)  # type: ignore[assignment]
    hostname: Annotated[str, BeforeValidator(_hostname)] | None = None
    allow: tuple[NetworkText, ...] = ("127.0.0.0/8", "::1/128")  # type: ignore[assignment]
    max_message_size: Size = "50MiB"  # type: ignore[assignment]
    max_recipients: Annotated[int, Field(strict=True, ge=100)] = 1000
    max_connections: Count = 1000
    max_connections_per_client: Count = 500
    timeout: Duration = "5m"  # type: ignore[assignment]
    workers: Literal[1] = 1
    stop_timeout: Annotated[float, BeforeValidator(_duration)] = "15s"  # type: ignore[assignment]


class Storage(_Section):
    """Where mail is kept until it is settled."""

    url: Annotated[str, BeforeValidator(_storage_url)] = "sqlite:./var"


class Queue(_Section):
    """When to try again, and when to give up. Times in seconds; `warn_after` None is never."""

    retry: Annotated[tuple[Duration, ...], Field(min_length=1)] = (  # type: ignore[assignment]
        "1m",
        "5m",
        "15m",
        "30m",
        "1h",
        "2h",
        "4h",
    )
    lifetime: Duration = "5d"  # type: ignore[assignment]
    warn_after: Annotated[float | None, BeforeValidator(_duration_or_never)] = "4h"  # type: ignore[assignment]


class Dns(_Section):
    """Who is asked; `nameservers` None: the system's resolv.conf."""

    nameservers: Annotated[tuple[Endpoint, ...], Field(min_length=1)] | None = None
    timeout: Duration = "5s"  # type: ignore[assignment]


class Tls(_Section):
    """Whom to trust, and the least TLS where no policy in enforce mode decides."""

    ca_file: Path | None = None
    testing: Literal["opportunistic", "encrypt", "verify"] = "encrypt"
    no_policy: Literal["opportunistic", "encrypt", "verify"] = "opportunistic"


class MtaSts(_Section):
    """How policies are fetched."""

    fetch_timeout: Duration = "60s"  # type: ignore[assignment]
    https_port: Port = 443


class Delivery(_Section):
    """How MX hosts are talked to."""

    port: Port = 25
    allow_internal: tuple[NetworkText, ...] = ()
    idle_timeout: Annotated[float, BeforeValidator(_duration)] = "10s"  # type: ignore[assignment]


class Violations(_Section):
    """Where violations are recorded."""

    log: Path = Path("./var/violations.jsonl")


class Settings(_Section):
    """Everything the configuration says; paths are absolute."""

    server: Server = Server()
    storage: Storage = Storage()
    queue: Queue = Queue()
    dns: Dns = Dns()
    tls: Tls = Tls()
    mta_sts: MtaSts = MtaSts()
    delivery: Delivery = Delivery()
    violations: Violations = Violations()
    directory: Path = Field(default=Path(), exclude=True)

    @property
    def hostname(self) -> str:
        """Our name in EHLO, Received and bounces: a full name, else an address literal."""
        return self.server.hostname or _machine_name()

    @property
    def storage_directory(self) -> Path:
        """The directory of the databases."""
        return self.directory / self.storage.url.removeprefix("sqlite:")

    @property
    def violation_log(self) -> Path:
        """The violation log's path."""
        return self.directory / self.violations.log

    @property
    def ca_file(self) -> Path | None:
        """The trusted roots' path; None for the system's."""
        return self.directory / self.tls.ca_file if self.tls.ca_file else None


def find(path: str | None) -> Path:
    """The configuration file: `path`, else $RELAY_CONFIG, else the usual places. ConfigError."""
    named = path or os.environ.get("RELAY_CONFIG")
    if named:
        return Path(named)
    for place in map(Path, _PLACES):
        if place.is_file():
            return place
    raise ConfigError(
        [f"no configuration: name one with -c or RELAY_CONFIG, or put it at {' or '.join(_PLACES)}"]
    )


def load(path: str | Path) -> Settings:
    """The settings of a TOML file. Raises ConfigError with every problem at once."""
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None
    problems = []
    if "directory" in tree:
        problems.append(f"{path}: directory: no such key{_suggestion('directory', Settings)}")
        del tree["directory"]
    directory = path.resolve().parent
    settings = Settings()
    try:
        settings = Settings(**tree, directory=directory)
    except ValidationError as error:
        problems += [f"{path}: {text}" for text in _problems(error)]
    problems += [f"{path}: {text}" for text in _faults_of_files(tree, directory)]
    if problems:
        raise ConfigError(problems)
    return settings


def warnings(settings: Settings) -> list[str]:
    """What is allowed but hardly meant."""
    wide = [net for net in settings.server.allow if net.prefixlen == 0]
    return [f"server.allow: {net} lets everybody relay mail: an open relay" for net in wide]


def _problems(error: ValidationError) -> Iterator[str]:
    faults = error.errors(include_url=False, include_context=False)
    for one in faults:
        key = _key(one["loc"])
        if any(one["loc"] == other["loc"][:-1] for other in faults):
            continue  # a list is said to be too short because its items are wrong
        match one["type"]:
            case "extra_forbidden":
                yield f"{key}: no such key{_suggestion(str(one['loc'][-1]), _section(one['loc']))}"
            case "model_type":
                yield f"{key}: must be a table, [{key}]"
            case "value_error":
                yield f"{key}: {one['msg'].removeprefix('Value error, ')}, not {one['input']!r}"
            case _:
                text = one["msg"].removeprefix("Input should be ")
                yield f"{key}: must be {text}, not {one['input']!r}"


def _key(loc: tuple[int | str, ...]) -> str:
    key = ""
    for part in loc:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part.isidentifier() or "-" in part or not key:
            key += f".{part}" if key else part
    return key


def _section(loc: tuple[int | str, ...]) -> type[BaseModel]:
    if len(loc) == 1:
        return Settings
    model = Settings.model_fields[str(loc[0])].annotation
    return model if isinstance(model, type) and issubclass(model, BaseModel) else Settings


def _suggestion(key: str, section: type[BaseModel]) -> str:
    known = [name for name in section.model_fields if name != "directory"]
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _faults_of_files(tree: dict[str, Any], directory: Path) -> Iterator[str]:
    tls = tree.get("tls")
    named = tls.get("ca_file") if isinstance(tls, dict) else None
    if not isinstance(named, str):
        return
    path = directory / named
    try:
        text = path.read_text("ascii", "replace")
    except OSError as error:
        yield f"tls.ca_file: {path} cannot be read: {error.strerror}"
        return
    if "-----BEGIN CERTIFICATE-----" not in text:
        yield f"tls.ca_file: {path} holds no PEM certificate"


def _machine_name() -> str:
    name = socket.getfqdn()
    try:
        domain = parse_domain(name)
    except AddressError:
        domain = parse_domain("localhost")
    if "." in domain and not domain.startswith("localhost."):
        return domain
    return f"[{_machine_address()}]"


def _machine_address() -> str:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return "127.0.0.1"
    return str(IPv4Address(str(found[0][4][0])))
