"""The configuration: a TOML file becomes settings, or every error at once, each with its key.

Imports nothing of the network, so that commands which only read start quickly.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from ipaddress import collapse_addresses, ip_address
from pathlib import Path
from shutil import which
from typing import Any

from relay.config.limits import domain_bounds, faults_of_limits, host_bounds
from relay.config.reader import read
from relay.config.routes import faults_of_credentials, faults_of_routes, next_hops
from relay.config.settings import Settings
from relay.config.sources import warnings_about_sources
from relay.config.waivers import (
    faults_of_waivers,
    tls_rules,
    warnings_about_waivers,
)
from relay.errors import ConfigError

__all__ = [
    "Settings",
    "domain_bounds",
    "find",
    "fixed_changes",
    "host_bounds",
    "load",
    "next_hops",
    "parse",
    "tls_rules",
    "warnings",
]

_PLACES = (Path("config.toml"), Path("/etc/relay/config.toml"))
_TLS_FROM_THE_START = 465  # RFC 8314 §3.3
_LEAST_MESSAGE = 64 * 2**10  # RFC 5321 §4.5.3.1.7


def find(path: str | None) -> Path:
    """The file to read: `path`, else $RELAY_CONFIG, else the usual places. Raises ConfigError."""
    for named, by in ((path, "-c"), (os.environ.get("RELAY_CONFIG"), "$RELAY_CONFIG")):
        if named:
            if not Path(named).exists():
                raise ConfigError([f"{named}: no such configuration file (named by {by})"])
            return Path(named)
    for place in _PLACES:
        if place.is_file():
            return place
    raise ConfigError(
        [
            "no configuration found: name one with -c FILE or in $RELAY_CONFIG, "
            "or put it at ./config.toml or /etc/relay/config.toml"
        ]
    )


def load(path: str | Path, *, closely: bool = True) -> Settings:
    """The settings of a TOML file. Raises ConfigError.

    `closely`: how keys go together and the files they name are checked too.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None
    try:
        return parse(table, path.absolute().parent, closely=closely)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None


def fixed_changes(old: Settings, new: Settings) -> list[str]:
    """The keys that differ and that a running relay cannot take on."""
    pairs = {
        "server.listen": (old.server.listen, new.server.listen),
        "server.listen_tls": (old.server.listen_tls, new.server.listen_tls),
        "server.workers": (old.server.workers, new.server.workers),
        "server.loop": (old.server.loop, new.server.loop),
        "storage.url": (old.storage.url, new.storage.url),
    }
    return [key for key, (was, is_now) in pairs.items() if was != is_now]


def parse(table: Mapping[str, Any], directory: Path, *, closely: bool = True) -> Settings:
    """The settings of a TOML table; relative paths start at `directory`. See `load`."""
    settings, faults = read(table, directory)
    if closely:
        # between keys that are wrong by themselves nothing can be said
        if not faults:
            faults += _contradictions(settings)
        faults += _faults_of_files(settings)
    if faults:
        raise ConfigError(faults)
    return settings


def warnings(settings: Settings, now: float) -> list[str]:
    """What is allowed but may surprise, one sentence each; `now` is in seconds since 1970."""
    found = list(warnings_about_waivers(settings, now))
    if settings.hostname.startswith("["):
        found.append(
            f"server.hostname: the machine has no full host name, so the relay calls itself "
            f"{settings.hostname}, which many hosts distrust; set server.hostname"
        )
    if settings.server.max_message_size < _LEAST_MESSAGE:
        found.append("server.max_message_size: RFC 5321 asks every relay to take 64KiB")
    for key in ("warn_after", "warn_after_policy"):
        after = getattr(settings.queue, key)
        if after and after >= settings.queue.lifetime:
            found.append(f"queue.{key}: never reached, since queue.lifetime ends before")
    for number, route in enumerate(settings.route):
        if route.next_hop.port == _TLS_FROM_THE_START:
            found.append(
                f"route[{number}].next_hop: port 465 is for TLS from the first octet on, the relay "
                "starts it by STARTTLS; most such hosts take that on port 587"
            )
    found += warnings_about_sources(settings)
    return found + list(_warnings_about_clients(settings))


def _warnings_about_clients(settings: Settings) -> Iterator[str]:
    key = settings.tls_key or settings.tls_cert
    if key and key.stat().st_mode & 0o007:
        yield f"server.tls_key: everybody on this machine may read {key}"
    if settings.users and not settings.users.exists():
        yield f"server.users: {settings.users} is not there yet: see `relay user add`"
    for net in settings.server.allow:
        if not net.is_private:
            yield f"server.allow: {net} are public addresses: all of them may relay mail"


def _contradictions(settings: Settings) -> Iterator[str]:
    server = settings.server
    listeners = server.listeners
    for endpoint in {at for at in listeners if at[1] and listeners.count(at) > 1}:
        key = "listen" if endpoint in server.listen else "listen_tls"
        yield f"server.{key}: {endpoint[0]} port {endpoint[1]} is named twice"
    if server.loop == "uvloop" and not find_spec("uvloop"):
        yield "server.loop: uvloop is not installed: pip install uvloop"
    for key in ("tls_key", "listen_tls", "users"):
        if getattr(server, key) and not server.tls_cert:
            yield f"server.{key}: needs a certificate, server.tls_cert"
    yield from faults_of_routes(settings)
    yield from faults_of_limits(settings)
    yield from faults_of_waivers(settings)
    # RFC 5321 §7.1 and common sense: no open relay, however the networks are cut
    everybody = [
        net
        for version in (4, 6)
        for net in collapse_addresses([net for net in server.allow if net.version == version])  # type: ignore[type-var]
        if net.prefixlen == 0
    ]
    if everybody and not all(ip_address(host).is_loopback for host, _ in listeners):
        yield (
            f"server.allow: {everybody[0]} would let everybody relay mail: an open relay; "
            "name your clients' networks, or listen on loopback only"
        )


def _faults_of_files(settings: Settings) -> Iterator[str]:
    if settings.storage.url and settings.storage_directory.is_file():
        yield f"storage.url: {settings.storage_directory} is a file, not a directory"
    if settings.violations.log and settings.violation_log.is_dir():
        yield f"violations.log: {settings.violation_log} is a directory, not a file"
    if settings.ca_file:
        yield from _faults_of_roots(settings.ca_file)
    if settings.tls_cert:
        yield from _faults_of_certificate(settings.tls_cert, settings.tls_key)
    if settings.users:
        yield from _faults_of_users(settings.users)
    if settings.alert_command:
        yield from _faults_of_program(settings.alert_command[0])
    yield from faults_of_credentials(settings)


def _faults_of_roots(path: Path) -> Iterator[str]:
    try:
        text = path.read_bytes()
    except OSError as error:
        yield f"tls.ca_file: {path} cannot be read: {error.strerror}"
        return
    import ssl  # 20 ms, and only where roots are named

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        what = "a broken" if b"-----BEGIN CERTIFICATE-----" in text else "no"
        yield f"tls.ca_file: {path} holds {what} PEM certificate"


def _faults_of_certificate(certificate: Path, key: Path | None) -> Iterator[str]:
    # their libraries take 100 ms to load, and only where a certificate is named
    from relay.clock import SystemClock
    from relay.inbound.certificate import CertificateError, CertificateFiles, server_context

    try:
        server_context(CertificateFiles(certificate, key or certificate), SystemClock().now())
    except CertificateError as error:
        yield str(error)


def _faults_of_program(program: str) -> Iterator[str]:
    if which(program):
        return
    if "/" in program and Path(program).exists():
        yield f"alert.command: {program} is no program that may be run"
    else:
        yield f"alert.command: there is no program {program}"


def _faults_of_users(path: Path) -> Iterator[str]:
    from relay.inbound.users import UsersError, read_users

    try:
        read_users(path)
    except UsersError as error:
        yield str(error)
