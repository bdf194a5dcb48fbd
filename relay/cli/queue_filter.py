"""The filters that all `relay queue` commands share."""

import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from relay.cli.completion_values import stored
from relay.cli.options import DomainName, HostName, Moment
from relay.db import glance
from relay.outcome import Reason
from relay.queue.selection import Selection

_STS = "sts"  # a name people know the reason "policy" by
_REASONS = [_STS, *(reason.value for reason in Reason), "damaged", "salvaged"]
_NOW = time.time()  # noqa: TID251 - a command is a moment
_OPTIONS = [
    click.option(
        "--domain",
        type=DomainName(),
        shell_complete=stored(glance.job_domains),
        help="Only mail for this recipient domain.",
    ),
    click.option(
        "--mx",
        type=HostName(),
        shell_complete=stored(glance.job_hosts),
        help="Only mail last tried at this host.",
    ),
    click.option(
        "--reason",
        type=click.Choice(_REASONS),
        metavar="REASON",
        help=f"Only mail kept back for this reason: {', '.join(_REASONS)}; sts is policy.",
    ),
    click.option("--state", type=click.Choice(["waiting", "active", "held"]), help="Only so."),
    click.option("--sender", help='Only mail from this address; "" or "<>" is the null one.'),
    click.option("--older", type=Moment(_NOW), help="Only mail older than this: an age or a time."),
]


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters, and as `selection` what they select."""

    @wraps(command)
    def with_selection(
        *args: Any,
        domain: str | None,
        mx: str | None,
        reason: str | None,
        state: str | None,
        sender: str | None,
        older: float | None,
        **others: Any,
    ) -> Any:
        selection = Selection(
            domain=domain,
            mx=mx,
            reason=Reason.POLICY.value if reason == _STS else reason,
            state=state,
            sender=None if sender is None else _address(sender),
            created_before=older,
        )
        return command(*args, selection=selection, **others)

    for option in reversed(_OPTIONS):
        with_selection = option(with_selection)
    return with_selection


def nothing(name: str) -> NoReturn:
    """End with 1: there is no such job."""
    click.echo(f"relay: there is no job and no message {name!r} in the queue", err=True)
    sys.exit(1)


def _address(text: str) -> str:
    address = text.removeprefix("<").removesuffix(">")
    try:
        address.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{text!r} is not an address", param_hint="--sender") from None
    return address
