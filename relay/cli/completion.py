"""`relay completion`: the scripts by which shells complete its commands, options and values."""

import click
from click.shell_completion import (
    BashComplete,
    ShellComplete,
    add_completion_class,
    get_completion_class,
)

from relay.cli import COMPLETE


class _Bash(BashComplete):
    """As click has it, for words such as --reason=policy too, which bash takes for three."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        return [word for word in args if word != "="], incomplete


add_completion_class(_Bash, "bash")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes commands, options and values in SHELL.

    \b
    bash    goes into ~/.local/share/bash-completion/completions/relay
    zsh     goes into _relay in a directory of $fpath
    fish    goes into ~/.config/fish/completions/relay.fish

    Ids and domains are those of the stores that -c or $RELAY_CONFIG leads to.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - a fact for the type checker
    root = click.get_current_context().find_root().command
    # not source() of bash's: it would start a bash to look at its version
    script = kind(root, {}, "relay", COMPLETE)
    click.echo(ShellComplete.source(script), nl=False)
