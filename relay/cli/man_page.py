"""Man pages: of a command from its help text, of the configuration from its page in docs/. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from itertools import chain
from pathlib import Path

import click

from relay import __version__
from relay.cli import roff

_CONFIGURATION = Path(__file__).with_name("configuration.md")
_STATUS = "Exit status"
_STATUSES = (
    ("0", "Done; an empty list is no error."),
    ("1", "The thing named does not exist."),
    ("2", "Wrong usage or configuration; each fault is told on standard error."),
    ("3", "Trouble that may pass: storage, DNS."),
)
_FILES = (
    ("./config.toml", ""),
    (
        "/etc/relay/config.toml",
        "The configuration, where neither `-c` nor `$RELAY_CONFIG` names one; see relay.toml(5).",
    ),
)
_ENVIRONMENT = (
    ("RELAY_CONFIG", "The configuration file, where there is no `-c`."),
    ("NO_COLOR", "Where it is set and not empty, nothing is coloured."),
    ("COLUMNS", "The width of tables on a terminal, in place of the terminal's own."),
)


def command_page(ctx: click.Context, date: str) -> str:
    """The page of a command. `date` as it is to be shown, or empty."""
    command = ctx.command
    help_text, _, status = cleandoc(command.help or "").partition(_STATUS)
    title = command.get_short_help_str(1000).removesuffix(".")
    usage = " ".join(command.collect_usage_pieces(ctx))
    parts = {
        "SYNOPSIS": [f"{roff.bold(ctx.command_path)} {roff.plain(usage)}"],
        "DESCRIPTION": roff.paragraphs(help_text),
        "OPTIONS": _options(ctx),
        "COMMANDS": _commands(ctx),
        "EXAMPLES": roff.paragraphs((command.epilog or "").replace("\nExamples:", "", 1)),
        "EXIT STATUS": roff.paragraphs(_STATUS + status) if status else _items(_STATUSES),
        "FILES": _items(_FILES),
        "ENVIRONMENT": _items(_ENVIRONMENT),
        "SEE ALSO": [_see_also(ctx)],
    }
    return _page((_name(ctx), "1", title), date, parts)


def configuration_page(date: str) -> str:
    """The page of the configuration file."""
    (_, description), *rest = roff.sections_of(_CONFIGURATION.read_text("utf-8"))
    parts = {"DESCRIPTION": roff.from_markdown(description)}
    parts |= {title: roff.from_markdown(text) for title, text in rest}
    parts |= {"FILES": _items(_FILES), "SEE ALSO": iter([_references(["relay"])])}
    return _page(("relay.toml", "5", "configuration of the relay"), date, parts)


def contexts(
    command: click.Command, name: str, above: click.Context | None = None
) -> Iterator[click.Context]:
    """The command and all those below it, each in its place."""
    ctx = click.Context(command, above, name, **command.context_settings)
    yield ctx
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            found = command.get_command(ctx, below)
            if found and not found.hidden:
                yield from contexts(found, below, ctx)


def _page(head: tuple[str, str, str], date: str, parts: Mapping[str, Iterable[str]]) -> str:
    name, number, title = head
    manual = {"1": "User Commands", "5": "File Formats"}[number]
    lines = [
        f'.TH {roff.plain(name.upper())} {number} "{date}" "relay {__version__}" "{manual}"',
        # neither hyphens of its own nor spread lines: what is shown may be copied
        ".nh",
        ".ad l",
        '.SH "NAME"',
        rf"{roff.plain(name)} \- {roff.plain(title)}",
    ]
    body = chain.from_iterable(roff.section(title, text) for title, text in parts.items())
    return "\n".join([*lines, *body, ""])


def _options(ctx: click.Context) -> Iterator[str]:
    for parameter in ctx.command.get_params(ctx):
        record = isinstance(parameter, click.Option) and parameter.get_help_record(ctx)
        if record:
            yield from roff.item(*record)


def _commands(ctx: click.Context) -> Iterator[str]:
    for one in contexts(ctx.command, ""):
        if one.parent and one.parent.command is ctx.command:
            name = f"{_name(ctx)}-{one.info_name}(1)"
            yield from roff.item(name, one.command.get_short_help_str(1000))


def _items(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    return chain.from_iterable(roff.item(*one) for one in items)


def _see_also(ctx: click.Context) -> str:
    return _references([_name(ctx.parent)] if ctx.parent else [], "relay.toml")


def _references(commands: Iterable[str], *files: str) -> str:
    pages = [*((name, 1) for name in commands), *((name, 5) for name in files)]
    return ", ".join(f"{roff.bold(name)}({number})" for name, number in pages)


def _name(ctx: click.Context) -> str:
    return ctx.command_path.replace(" ", "-")
