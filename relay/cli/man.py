"""`relay man`: the man pages, from the help texts and docs/configuration.md."""

import os
from pathlib import Path

import click

from relay.timestamp import rfc3339


@click.command("man")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(directory: Path) -> None:
    """Write the man pages below DIRECTORY, such as /usr/local/share/man.

    relay(1) and a page for each command, such as relay-queue-list(1), and relay.toml(5) for the
    configuration. With $SOURCE_DATE_EPOCH in the environment they have its date, else none.
    """
    from relay.cli.man_page import command_page, configuration_page, contexts

    date = _date()
    root = click.get_current_context().find_root().command
    pages = {"man5/relay.toml.5": configuration_page(date)}
    for ctx in contexts(root, "relay"):
        name = ctx.command_path.replace(" ", "-")
        pages[f"man1/{name}.1"] = command_page(ctx, date)
    try:
        _write(directory, pages)
    except OSError as error:
        raise click.FileError(str(error.filename), error.strerror) from None
    click.echo(f"{len(pages)} pages are in {directory}; see: man -M {directory} relay")


def _write(directory: Path, pages: dict[str, str]) -> None:
    for name, page in pages.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")


# https://reproducible-builds.org/specs/source-date-epoch/
def _date() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return rfc3339(float(epoch))[:10] if epoch.isascii() and epoch.isdigit() else ""
