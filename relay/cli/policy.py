"""`relay policy`: a domain's policy as the relay sees it, and what is kept of all of them."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from relay.cli.completion_values import stored
from relay.cli.family import Family
from relay.cli.options import WrongUse, config_option, json_option, settings_from, wide_option
from relay.cli.output import print_json, print_text, printable
from relay.clock import SystemClock
from relay.config import Settings
from relay.db import glance

if TYPE_CHECKING:
    from relay.address import Domain
    from relay.cli.policy_text import View
    from relay.cli.policy_way import Way


@click.group("policy", cls=Family, default="show", subcommand_metavar="DOMAIN | COMMAND [ARGS]...")
def command() -> None:
    """Look at MTA-STS policies as the relay sees them.

    `relay policy DOMAIN` is short for `relay policy show DOMAIN`. A domain that is named like a
    command is written with a final dot.
    """


@command.command(
    "show", short_help="Show the policy of a domain, its hosts' verdicts, what is sloppy."
)
@config_option
@json_option
@click.option("--refresh", is_flag=True, help="Fetch now, whatever the cache says.")
@click.option("--offline", is_flag=True, help="Ask the cache alone, not the network.")
@click.argument("domain", shell_complete=stored(glance.policy_domains))
def show(config_path: str | None, as_json: bool, refresh: bool, offline: bool, domain: str) -> None:
    """Show the policy of DOMAIN, what is sloppy about it, and the verdict on each MX host.

    Looks it up now, through the cache the relay uses. --json prints the documented object alone.
    Exit status: 0, or 3 where the look-up failed, a cached policy or not.
    """
    if refresh and offline:
        raise WrongUse("--refresh and --offline do not go together")
    from relay.cli.policy_way import way_to

    name = _domain(domain)
    settings = settings_from(config_path)
    way = way_to(settings, name)
    view = _view(settings, way, refresh=refresh, offline=offline, closely=not as_json)
    if as_json:
        print_json(view.result.as_dict())
    else:
        from relay.cli.policy_text import describe

        print_text(describe(view, _now()))
    sys.exit(3 if view.result.status == "errored" else 0)


@command.command("list", short_help="List the cached policies, and how each does.")
@config_option
@json_option
@click.option(
    "--trouble", is_flag=True, help="Only the failing, the ending and those without a policy."
)
@wide_option
def list_policies(config_path: str | None, as_json: bool, trouble: bool, wide: bool) -> None:
    """List the cached policies by domain, and how each does.

    live; failing: it holds, but the last look-up failed; ending: it holds, but a quarter of its
    time is left or less; expired; no-policy: there is a failure only.
    """
    from relay.cli.policy_list import print_list, print_objects
    from relay.db.policy_reader import read_policies

    policies = read_policies(_path(settings_from(config_path)))
    if as_json:
        print_objects(policies, _now(), troubled=trouble)
    else:
        print_list(policies, _now(), troubled=trouble, wide=wide)


@command.command("history", short_help="Show what a domain's policy was before.")
@config_option
@json_option
@click.argument("domain", shell_complete=stored(glance.past_policy_domains))
def history(config_path: str | None, as_json: bool, domain: str) -> None:
    """Show the policies DOMAIN has had, and what changed from each to the next."""
    from relay.cli.policy_history import describe_history, history_objects
    from relay.db.policy_reader import read_versions

    name = _domain(domain)
    versions = read_versions(_path(settings_from(config_path)), name)
    if not versions:
        click.echo(f"relay: no policy of {name} was ever seen", err=True)
        sys.exit(1)
    if as_json:
        for row in history_objects(name, versions):
            print_json(row)
        return
    print_text(describe_history(versions))


@command.command("forget", short_help="Forget what is cached of domains.")
@config_option
@click.argument(
    "domains",
    metavar="DOMAIN...",
    nargs=-1,
    required=True,
    shell_complete=stored(glance.policy_domains),
)
def forget(config_path: str | None, domains: tuple[str, ...]) -> None:
    """Forget what is cached of each DOMAIN; its history stays.

    The next mail looks its policy up anew, as if it were the first. Exit status 1 where nothing was
    cached of one of them.
    """
    names = [_domain(domain) for domain in domains]
    from relay.cli.policy_forget import forget_all

    unknown = forget_all(_path(settings_from(config_path)), names, _now())
    for name in names:
        if name in unknown:
            click.echo(f"relay: nothing is cached of {name}", err=True)
        else:
            click.echo(f"{name} is forgotten")
    sys.exit(1 if unknown else 0)


@command.command("warm", short_help="Look up a list of domains before their first mail.")
@config_option
@click.option("--refresh", is_flag=True, help="Fetch also what the cache has.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="Look-ups under way at a time.",
)
@click.argument("file", type=click.File("rb"))
def warm(config_path: str | None, refresh: bool, at_once: int, file: IO[bytes]) -> None:
    """Look up all domains of FILE before their first mail; - is standard input.

    One domain a line; empty lines and what follows a # do not count. Exit status: 0; 3 where a
    look-up failed; 2 where a line is no domain, after all others are looked up.
    """
    settings = settings_from(config_path)
    from relay.cli.policy_warm import read_domains, summary
    from relay.cli.policy_warm import warm as look_all_up

    domains, faults = read_domains(settings, file)
    for fault in faults:
        click.echo(f"relay: {printable(file.name)}: {fault}", err=True)
    counts = look_all_up(settings, domains, refresh=refresh, at_once=at_once)
    click.echo(summary(counts))
    sys.exit(2 if faults else 3 if counts["errored"] else 0)


def _view(settings: Settings, way: "Way", *, refresh: bool, offline: bool, closely: bool) -> "View":
    if way.domain is None:
        return _of_address(way)
    if offline:
        from relay.cli.policy_cache import view_offline

        view = view_offline(_path(settings), way.domain, _now())
    else:
        from relay.cli.policy_look_up import Question, view_online

        view = view_online(settings, Question(way.hop, refresh, closely))
    return replace(view, way=way.sentence)


def _of_address(way: "Way") -> "View":
    from relay.cli.policy_text import View
    from relay.mta_sts.policy import Policy, PolicyResult

    return View(way.hop.destination, PolicyResult(Policy(), "not_found"), way=way.sentence)


def _domain(text: str) -> "Domain":
    from relay.address import AddressError, parse_domain

    try:
        return parse_domain(text.removesuffix("."))
    except AddressError as error:
        raise WrongUse(str(error)) from None


def _path(settings: Settings) -> Path:
    return settings.storage_directory / "policies.db"


def _now() -> float:
    return SystemClock().now()
