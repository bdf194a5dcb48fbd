"""`relay user`: who may log in to send mail from outside `server.allow`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from relay.cli.completion_values import Seen, completed_by
from relay.cli.options import config_option, settings_from
from relay.config import Settings
from relay.errors import ConfigError
from relay.inbound.users import UsersError, change_users, is_name, read_users

_LONGEST = 1024  # octets of a password


def _names(settings: Settings, begin: str) -> Iterator[Seen]:
    with suppress(UsersError):
        for name in read_users(settings.users) if settings.users else ():
            if name.startswith(begin):
                yield name, None


@click.group("user")
def command() -> None:
    """Keep the users who may send from elsewhere; a running relay sees changes at once."""


@command.command("add")
@config_option
@click.argument("name", shell_complete=completed_by(_names))
def add(config_path: str | None, name: str) -> None:
    """Add a user, or give an old one a new password.

    The password is asked for twice; where stdin is no terminal it is its first line.
    """
    settings = settings_from(config_path)
    path = _path(settings)
    if not is_name(name):
        raise click.UsageError("a name has no blank, no colon and no # in front")
    password = _password(name)
    from relay.inbound.passwords import hash_password

    hashed, known = hash_password(password), False

    def change(users: dict[str, str]) -> bool:
        nonlocal known
        known = name in users
        users[name] = hashed
        return True

    change_users(path, change, settings.storage_directory)
    click.echo(f"{name} has a new password" if known else f"{name} may log in")


@command.command("list")
@config_option
def list_users(config_path: str | None) -> None:
    """List the names, one a line."""
    for name in read_users(_path(settings_from(config_path))):
        click.echo(name)


@command.command("remove")
@config_option
@click.argument("name", shell_complete=completed_by(_names))
def remove(config_path: str | None, name: str) -> None:
    """Remove a user; connections it has made already go on."""
    settings = settings_from(config_path)

    def change(users: dict[str, str]) -> bool:
        return users.pop(name, None) is not None

    if not change_users(_path(settings), change, settings.storage_directory):
        click.echo(f"relay: there is no user {name!r}", err=True)
        sys.exit(1)
    click.echo(f"{name} may no longer log in")


def _path(settings: Settings) -> Path:
    if settings.users is None:
        raise ConfigError(["server.users: is not set; name there the file that keeps the users"])
    return settings.users


def _password(name: str) -> bytes:
    if sys.stdin.isatty():
        text = click.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
        password = str(text).encode()
    else:
        password = sys.stdin.buffer.readline(_LONGEST + 2).rstrip(b"\r\n")
    if not 0 < len(password) <= _LONGEST or b"\0" in password:
        raise click.UsageError(f"a password has 1 to {_LONGEST} octets and no NUL among them")
    return password
