"""Options that several commands share, and how they read the configuration."""

import re
from typing import IO, TYPE_CHECKING, Any

import click

from relay import config
from relay.timestamp import parse_rfc3339

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(readable=False),  # of which the shell completes names of files
    help="Configuration file; default: $RELAY_CONFIG, ./config.toml, /etc/relay/config.toml.",
)
wide_option = click.option(
    "--wide", is_flag=True, help="Everything of each on one line, however long."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def examples(*commands: str) -> str:
    """The end of a help text: how the command is called."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_GRAPHIC = re.compile(r"[!-~]{1,1024}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_AGES = ("1h", "24h", "7d", "30d")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class WrongUse(click.ClickException):
    """The words of a command are wrong; one line says why, and the exit status is 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it as every other error of the relay's."""
        click.echo(f"relay: {self.message}", file=file, err=True)


def settings_from(config_path: str | None) -> config.Settings:
    """The settings of -c or of the default places. Raises ConfigError."""
    return config.load(config.find(config_path))


class Moment(click.ParamType[float]):
    """A time in the past: an age such as "24h", an RFC 3339 time, or a date (its start in UTC)."""

    name = "age or time"

    def __init__(self, now: float) -> None:
        """Ages count back from `now`, in seconds since 1970."""
        self._now = now

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if age := _AGE.fullmatch(str(value)):
            return self._now - int(age[1]) * _UNITS[age[2]]
        text = str(value)
        try:
            return parse_rfc3339(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
        except ValueError:
            self.fail(
                f"{value!r} is neither an age (30m, 24h, 7d) nor a time (2026-09-01T07:00:00Z) "
                "nor a date (2026-09-01)"
            )

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """A few ages."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(age) for age in _AGES if age.startswith(incomplete)]


class DomainName(click.ParamType[str]):
    """A mail domain or an address literal, as the queue and the ledger have it."""

    name = "domain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from relay.address import AddressError, parse_mailbox

        try:
            return parse_mailbox(f"x@{str(value).removesuffix('.')}").destination
        except AddressError as error:
            self.fail(str(error), param, ctx)


class HostName(click.ParamType[str]):
    """A host as queue and ledger have it: what a domain's MX record says, or an address.

    Names that are no host's by any RFC are among those to be looked for.
    """

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from relay.address import AddressError, parse_domain

        name = str(value).removesuffix(".").lower()
        try:
            return name if _GRAPHIC.fullmatch(name) else parse_domain(name)
        except AddressError as error:
            self.fail(str(error), param, ctx)
