"""Where the ledger is that `relay violations` reads, and whether all of it is there."""

from pathlib import Path

import click

from relay.config import Settings


def ledger_in(settings: Settings) -> Path:
    """The ledger's path; tells on stderr where violations are missing from it."""
    from relay.db.outbox import lost_in

    directory = settings.storage_directory
    if lost := lost_in(directory):
        click.echo(
            f"relay: {lost} violations are missing: ledger or log could not take them", err=True
        )
    return directory / "ledger.db"
