"""What the stores have for a word that is being typed. Never fails, prints, writes or hangs."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay import config
from relay.errors import ConfigError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Seen = tuple[str, str | None]
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]

_PLAIN = re.compile(r"[A-Za-z0-9._@:\[\]+-]+")  # anything else may be more than a word to a shell


def completed_by(find: Callable[[config.Settings, str], Iterable[Seen]]) -> Complete:
    """Complete a word by what `find` finds with these settings for its beginning."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        settings = _settings(ctx.params.get("config_path"))
        typed = ctx.params.get(param.name or "") if param.nargs == -1 else None
        return [
            CompletionItem(word, help=what)
            for word, what in (find(settings, incomplete) if settings else ())
            if _PLAIN.fullmatch(word) and word not in (typed or ())
        ]

    return complete


def stored(find: Callable[[Path, str], Iterable[Seen]]) -> Complete:
    """Complete a word by what `find` finds in the storage directory."""
    return completed_by(lambda settings, begin: find(settings.storage_directory, begin))


# While a word is completed the shell has not yet replaced ~ and variables in those before it
def _settings(config_path: str | None) -> config.Settings | None:
    written = config_path and str(Path(os.path.expandvars(config_path)).expanduser())
    try:
        path = config.find(written)
        return config.load(path, closely=False) if path.is_file() else None  # no pipe is waited for
    except (ConfigError, RuntimeError):
        return None
