"""The `relay` command; each command is a file of its own, imported only when it is called."""

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from relay import __version__
from relay.errors import ConfigError, RelayError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "serve": "Run the relay in the foreground.",
    "check": "Check the configuration and say every fault at once.",
    "policy": "Show MTA-STS policies and what is sloppy; list, forget, warm.",
    "violations": "Show what was wrong with hosts and policies, and what was done.",
    "explain": "Explain what would happen now to mail for an address, and why.",
    "tls": "Show or forget the TLS that is remembered of domains.",
    "alert": "Try whether alerts arrive.",
    "queue": "Show, retry, hold, release or drop queued mail.",
    "user": "Keep the users who may send from elsewhere.",
    "demo": "Show the relay at work in a small internet on loopback.",
    "completion": "Print the script that completes commands in a shell.",
    "man": "Write the man pages.",
}

COMPLETE = "_RELAY_COMPLETE"
"""The variable by which a shell asks for completions."""

# A full disk, quota or file size limit, a device that is broken
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class _Commands(click.Group):
    """Finds a command's module by its name, so that reading commands never load the network."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"relay.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a fact for the type checker
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            from relay.cli.family import no_such_command

            no_such_command(ctx, args[0], _COMMANDS)
        return super().resolve_command(ctx, args)

    # Left to click, all commands would be imported for their names
    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [name for name in _COMMANDS if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=_COMMANDS[name]) for name in names] + options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    # Left to click, a reader that has seen enough (head) would make it exit status 1
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _close_output()
            ctx.exit(0)


# Keeps the interpreter from complaining at its end
def _close_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relay")
def relay() -> None:
    """A mail relay that delivers only where the recipient's domain says it is safe (MTA-STS)."""


def main() -> None:
    """Run the command line; every error is one clear sentence on stderr, never a traceback."""
    try:
        if COMPLETE in os.environ:
            import_module("relay.cli.completion")  # what click has for the shells, and a bit more
        relay(prog_name="relay", complete_var=COMPLETE)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"relay: {problem}", err=True)
        sys.exit(2)
    except RelayError as error:
        click.echo(f"relay: {error}", err=True)
        sys.exit(3)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _close_output()
        click.echo(f"relay: the output cannot be written: {error.strerror}", err=True)
        sys.exit(3)
