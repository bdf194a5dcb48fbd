"""Commands of which one is meant where none is named: `relay policy DOMAIN`, `relay violations`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_HELP = ("-h", "--help")
_OPTIONS = "relay.cli.family.options"  # in the context: what stands before a word yet to come


class Family(click.Group):
    """Commands whose name may be left out for the `default`, and may stand behind options."""

    def __init__(self, *args: Any, default: str, **attributes: Any) -> None:
        """With `no_args_is_help` not even the default is meant where there is no word at all."""
        super().__init__(*args, **attributes)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command in front."""
        place = self._place_of_word(args)
        if ctx.resilient_parsing and place == len(args):
            ctx.meta[_OPTIONS] = args
            return super().parse_args(ctx, [])
        return super().parse_args(ctx, self._with_name(ctx, args, place))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """The names of the commands, and what the default may have for its next word."""
        default = self.commands[self._default]
        options = list(ctx.meta.get(_OPTIONS, ()))
        with default.make_context(self._default, options, ctx, resilient_parsing=True) as inner:
            found = super().shell_complete(ctx, incomplete) + _completions(inner, incomplete)
        return list({item.value: item for item in found}.values())

    def _with_name(self, ctx: click.Context, args: list[str], place: int) -> list[str]:
        if place < len(args) and args[place] in self.commands:
            return [args[place], *args[:place], *args[place + 1 :]]
        if args[0] in _HELP if args else self.no_args_is_help:
            return args
        if place < len(args) and not any(map(_takes_words, self.commands[self._default].params)):
            no_such_command(ctx, args[place], self.commands)
        return [self._default, *args]

    # What an option has for its value is no word
    def _place_of_word(self, args: list[str]) -> int:
        place = 0
        while place < len(args) and args[place].startswith("-") and args[place] != "--":
            place += 2 if args[place] in self._taking_values() else 1
        return place

    def _taking_values(self) -> set[str]:
        options = [one for command in self.commands.values() for one in command.params]
        return {
            name
            for one in options
            if isinstance(one, click.Option) and not one.is_flag
            for name in one.opts
        }


def no_such_command(ctx: click.Context, name: str, names: Iterable[str]) -> NoReturn:
    """Say that there is none of this name, and which one may have been meant."""
    import difflib  # 2 ms, and only for typing errors

    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise click.UsageError(f"No such command {name!r}.{hint}", ctx)


def _takes_words(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _completions(ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
    words = [one for one in ctx.command.params if _takes_words(one)]
    if incomplete.startswith("-") or not words:
        return ctx.command.shell_complete(ctx, incomplete)
    return words[0].shell_complete(ctx, incomplete)
