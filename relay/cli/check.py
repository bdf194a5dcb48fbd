"""`relay check`: is the configuration right?"""

import click

from relay import config
from relay.cli.options import config_option
from relay.clock import SystemClock


@click.command("check")
@config_option
def command(config_path: str | None) -> None:
    """Check the configuration, the files it names included: exit 0, or 2 with every fault."""
    path = config.find(config_path)
    settings = config.load(path)
    for warning in config.warnings(settings, SystemClock().now()):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path}: the configuration is right")
