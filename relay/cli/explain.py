"""`relay explain`: what would happen now to mail for an address, and why."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from relay.cli.options import WrongUse, config_option, examples, json_option, settings_from
from relay.cli.output import print_json, print_text
from relay.clock import SystemClock
from relay.config import Settings

if TYPE_CHECKING:
    from relay.cli.explain_view import Explanation, Queued

_EXIT = {"delivered": 0, "offered": 0, "bounced": 1, "deferred": 3, "unknown": 3}


@click.command(
    "explain",
    epilog=examples(
        "relay explain joe@example.org --probe             ask the hosts, too",
        "relay explain joe@example.org --as-if enforce     what its owner asks",
    ),
)
@config_option
@json_option
@click.option("--probe", is_flag=True, help="Call each host and check STARTTLS and certificate.")
@click.option("--offline", is_flag=True, help="Ask the caches alone, not the network.")
@click.option(
    "--as-if",
    type=click.Choice(["enforce", "testing", "none"]),
    help="Judge as if the policy were in this mode.",
)
@click.argument("address")
def command(
    config_path: str | None,
    as_json: bool,
    probe: bool,
    offline: bool,
    as_if: str | None,
    address: str,
) -> None:
    """Explain what would happen now to mail for ADDRESS, and why. No mail is sent.

    Without --probe no host is called: what its certificate is worth stays open. Exit status: 0 it
    would be delivered, or offered to a host; 1 it would be bounced; 3 it would be deferred, or
    that cannot be told now; 2 this is no address.
    """
    if probe and offline:
        raise WrongUse("--probe and --offline do not go together")
    if not _names_postmaster(address):
        _destination(address)  # nonsense is told whatever the configuration is
    settings = settings_from(config_path)
    meant = _meant(settings, address)
    destination = _destination(meant)
    from relay.cli.explain_view import Question
    from relay.cli.policy_way import way_to

    way = way_to(settings, destination)
    if as_if and way.domain is None:
        raise WrongUse(f"{way.hop.destination} is an address: it has no policy for --as-if")
    if offline:
        from relay.cli.explain_cache import explain_offline

        question = Question(meant, destination, as_if)
        told = explain_offline(settings, question, way, _queued(settings, destination))
    else:
        from relay.cli.explain_look_up import explain_online

        question = Question(meant, destination, as_if, probe)
        told = explain_online(settings, question, _queued(settings, destination))
    words = [_diversion(settings, address, meant), way.words]
    told = replace(told, address=address, way="; ".join(filter(None, words)) or None)
    _show(told, as_json=as_json)
    sys.exit(_EXIT[told.verdict.status])


def _destination(address: str) -> str:
    from relay.address import AddressError, parse_mailbox

    try:
        return parse_mailbox(address).destination
    except AddressError as error:
        raise WrongUse(f"{error}; an address is like joe@example.org") from None


def _names_postmaster(address: str) -> bool:
    return address.partition("@")[0].lower() == "postmaster"


# RFC 5321 §4.5.1: our own postmaster's mail goes where the operator reads it
def _meant(settings: Settings, address: str) -> str:
    if not _names_postmaster(address):
        return address
    from relay.wiring import accept_settings  # takes the network's modules

    return accept_settings(settings).own_postmaster(address) or address


def _diversion(settings: Settings, address: str, meant: str) -> str | None:
    if meant.lower() == address.lower():
        return None
    by = " (queue.postmaster)" if settings.queue.postmaster else ""
    return f"mail for our own {address} goes to {meant}{by}"


def _queued(settings: Settings, destination: str) -> "Queued":
    from relay.cli.explain_view import Queued
    from relay.db.desk import Desk
    from relay.queue.selection import Selection

    desk = Desk(settings.storage_directory)
    tallies = desk.tally("reason", Selection(domain=destination))
    if not tallies:
        return Queued()
    return Queued(
        sum(one.jobs for one in tallies),
        sum(one.recipients for one in tallies),
        min(one.oldest for one in tallies),
        desk.next_attempt(destination),
        {one.value: one.jobs for one in tallies},
        desk.last_attempt(destination),
    )


def _show(told: "Explanation", *, as_json: bool) -> None:
    now = SystemClock().now()
    if as_json:
        from relay.cli.explain_object import explanation_object

        print_json(explanation_object(told, now))
        return
    from relay.cli.explain_text import explain

    print_text(explain(told, now))
