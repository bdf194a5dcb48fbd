"""`relay policy`: a domain's policy as the relay sees it, and what is kept of all of them."""

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from relay.cli.options import WrongUse, config_option, json_option, settings_from
from relay.cli.output import print_json

if TYPE_CHECKING:
    from relay.address import Domain
    from relay.cli.policy_text import View

_HELP = ("-h", "--help")


class _Family(click.Group):
    """The commands on policies; a word that is none of them is a domain to show."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_name(args, self.commands))


# A domain has the name of a command only without a dot; then "list." or "show list" asks for it
def _with_name(args: list[str], names: Collection[str]) -> list[str]:
    place = _first_word(args)
    if place is None and (not args or args[0] in _HELP):
        return args
    if place is None or args[place] not in names:
        return ["show", *args]
    return [args[place], *args[:place], *args[place + 1 :]]


def _first_word(args: list[str]) -> int | None:
    place = 0
    while place < len(args) and args[place].startswith("-") and args[place] != "--":
        place += 2 if args[place] in ("-c", "--config") else 1
    return place if place < len(args) else None


@click.group("policy", cls=_Family, subcommand_metavar="DOMAIN | COMMAND [ARGS]...")
def command() -> None:
    """Look at MTA-STS policies as the relay sees them.

    `relay policy DOMAIN` is short for `relay policy show DOMAIN`. A domain that is named like a
    command is written with a final dot.
    """


@command.command("show")
@config_option
@json_option
@click.option("--refresh", is_flag=True, help="Fetch now, whatever the cache says.")
@click.option("--offline", is_flag=True, help="Ask the cache alone, not the network.")
@click.argument("domain")
def show(config_path: str | None, as_json: bool, refresh: bool, offline: bool, domain: str) -> None:
    """Show the policy of DOMAIN, what is sloppy about it, and the verdict on each MX host.

    Looks it up now, through the cache the relay uses. --json prints the documented object alone.
    Exit status: 0, or 3 where the look-up failed, a cached policy or not.
    """
    if refresh and offline:
        raise WrongUse("--refresh and --offline do not go together")
    name = _domain(domain)
    settings = settings_from(config_path)
    if offline:
        from relay.cli.policy_cache import view_offline

        view = view_offline(settings, name)
    else:
        from relay.cli.policy_look_up import view_online

        view = view_online(settings, name, refresh=refresh, closely=not as_json)
    _print(view, as_json=as_json)
    sys.exit(3 if view.result.status == "errored" else 0)


def _domain(text: str) -> "Domain":
    from relay.address import AddressError, parse_domain

    try:
        return parse_domain(text.removesuffix("."))
    except AddressError as error:
        raise WrongUse(str(error)) from None


def _print(view: "View", *, as_json: bool) -> None:
    if as_json:
        print_json(view.result.as_dict())
        return
    from relay.cli.policy_text import describe
    from relay.clock import SystemClock

    for line in describe(view, SystemClock().now()):
        click.echo(line)
