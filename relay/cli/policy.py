"""`relay policy`: a domain's MTA-STS policy as the relay sees it now."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import config_option, json_option, settings_from
from relay.cli.output import print_json, printable
from relay.config import Settings

if TYPE_CHECKING:
    from relay.address import Domain
    from relay.mta_sts.finder import Found


@click.command("policy")
@config_option
@json_option
@click.option("--refresh", is_flag=True, help="Fetch now, whatever the cache says.")
@click.argument("domain")
def command(config_path: str | None, as_json: bool, refresh: bool, domain: str) -> None:
    """Look the policy of DOMAIN up now, through the cache the relay uses."""
    from relay.address import AddressError, parse_domain

    try:
        name = parse_domain(domain.removesuffix("."))
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    settings = settings_from(config_path)
    result = asyncio.run(_look_up(settings, name, refresh=refresh)).result
    if as_json:
        print_json(result.as_dict())
    else:
        _print(name, result.as_dict())
    sys.exit(3 if result.status == "errored" else 0)


async def _look_up(settings: Settings, domain: "Domain", *, refresh: bool) -> "Found":
    from relay.app import LEDGER, POLICIES, build_finder, build_resolver, record_now
    from relay.clock import SystemClock
    from relay.db.ledger import Ledger
    from relay.db.policies import PolicyTable

    clock = SystemClock()
    policies = PolicyTable(settings.storage_directory / POLICIES)
    try:
        finder = build_finder(settings, build_resolver(settings, clock), policies, clock, "command")
        found = await finder.find(domain, refresh=refresh)
    finally:
        policies.close()
    if found.findings:
        ledger = Ledger(settings.storage_directory / LEDGER)
        try:
            await record_now(settings, ledger, found.findings)
        finally:
            ledger.close()
    return found


def _print(domain: str, shown: dict[str, Any]) -> None:
    policy = shown["policy"]
    words = {
        "found": "fetched now",
        "renewed": "from the cache, its id is unchanged",
        "not_found": "the domain publishes no MTA-STS policy",
        "errored": "the look-up failed",
    }
    click.echo(f"{domain}: {words[shown['status']]}")
    for field in ("id", "mode", "mx", "maxAge", "expires"):
        if policy.get(field):
            value = policy[field]
            text = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"  {field:8} {printable(text)}")
    if "error" in policy:
        click.echo(f"  {'error':8} {printable(policy['error']['message'])}")
        click.echo(f"  {'code':8} {policy['error']['code']}")
