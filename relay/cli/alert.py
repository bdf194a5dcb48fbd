"""`relay alert`: do alerts arrive?"""

import asyncio
import sys

import click

from relay.cli.options import config_option, settings_from
from relay.clock import SystemClock
from relay.config import Settings
from relay.errors import ConfigError


@click.group("alert")
def command() -> None:
    """Try what [alert] of the configuration tells of new violations (docs/alerts.md)."""


@command.command("test")
@config_option
def test(config_path: str | None) -> None:
    """Send a sample alert now, with "test": true, and say what came of it.

    Exit status 3 where it has not arrived everywhere.
    """
    results = asyncio.run(_try_all(settings_from(config_path)))
    for name, why in results:
        click.echo(f"relay: {name} {why}" if why else f"{name} has taken it", err=bool(why))
    if any(why for _, why in results):
        sys.exit(3)


async def _try_all(settings: Settings) -> list[tuple[str, str | None]]:
    import orjson

    from relay.reporting.alert import sample, to_object
    from relay.wiring import build_channels

    channels = build_channels(settings)
    if not channels:
        raise ConfigError(["alert: neither alert.command nor alert.webhook is set"])
    now = SystemClock().now()
    data = orjson.dumps(to_object(sample(now), settings.hostname, now, is_test=True))
    return [(str(channel), await channel.tell(data)) for channel in channels]
