"""The filters that all `relay violations` commands share."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from relay.cli.completion_values import stored
from relay.cli.options import DomainName, HostName, Moment
from relay.db import glance
from relay.evidence import Action, Failure
from relay.reporting.store import Filter

NOW = time.time()  # noqa: TID251 - a command is a moment
_REASONS = list(map(str, Failure))
since_option = click.option(
    "--since", type=Moment(NOW), help="Only from then on: an age (24h) or a time."
)
until_option = click.option("--until", type=Moment(NOW), help="Only before then.")
_OPTIONS = [
    since_option,
    until_option,
    click.option(
        "--domain",
        type=DomainName(),
        shell_complete=stored(glance.violation_domains),
        help="Only this policy domain.",
    ),
    click.option(
        "--mx",
        type=HostName(),
        shell_complete=stored(glance.violation_hosts),
        help="Only this host.",
    ),
    click.option(
        "--mode",
        type=click.Choice(["enforce", "testing", "none"]),
        help="Only under policies so; none is without one in force.",
    ),
    click.option(
        "--reason",
        type=click.Choice(_REASONS),
        metavar="REASON",
        help=f"Only this reason: {', '.join(_REASONS)}.",
    ),
    click.option("--action", type=click.Choice(list(map(str, Action))), help="Only where so done."),
]


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters, and as `wanted` what they make."""

    @wraps(command)
    def with_filter(
        *args: Any,
        since: float | None,
        until: float | None,
        domain: str | None,
        mx: str | None,
        mode: str | None,
        reason: str | None,
        action: str | None,
        **others: Any,
    ) -> Any:
        wanted = Filter(
            since=since,
            until=until,
            domain=domain,
            mx=mx,
            mode=mode,
            reason=reason,
            action=action,
        )
        return command(*args, wanted=wanted, **others)

    for option in reversed(_OPTIONS):
        with_filter = option(with_filter)
    return with_filter
