"""`relay policy warm`: policies looked up before the first mail for them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from relay.address import AddressError, Domain, parse_domain
from relay.cli.output import printable
from relay.cli.policy_look_up import look_ups
from relay.cli.policy_way import way_to
from relay.config import Settings
from relay.mta_sts.policy import PolicyResult

_DONE = {"found": "fetched", "renewed": "known", "not_found": "none published"}


def read_domains(settings: Settings, lines: Iterable[bytes]) -> tuple[list[Domain], list[str]]:
    """The policy domains of a list of domains, each once, and what is wrong with the other lines.

    A line is a domain; blanks around it, empty lines and what follows a # do not count.
    """
    domains: dict[Domain, None] = {}
    faults = []
    for number, line in enumerate(lines, 1):
        text = line.partition(b"#")[0].strip(b" \t\r\n").decode("utf-8", "surrogateescape")
        if not text:
            continue
        try:
            way = way_to(settings, parse_domain(text.removesuffix(".")))
        except AddressError as error:
            faults.append(f"line {number}: {error}")
            continue
        if way.domain:
            domains[way.domain] = None
    return list(domains), faults


def warm(
    settings: Settings, domains: Sequence[Domain], *, refresh: bool, at_once: int
) -> Counter[str]:
    """Look all of them up, `at_once` under way at a time, and tell each one's end.

    How many came to which status. Raises StorageError.
    """
    return asyncio.run(_warm(settings, domains, refresh=refresh, at_once=at_once))


async def _warm(
    settings: Settings, domains: Sequence[Domain], *, refresh: bool, at_once: int
) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with look_ups(settings) as desk:
        async for domain, result in desk.find_all(domains, refresh=refresh, at_once=at_once):
            counts[result.status] += 1
            click.echo(f"{sum(counts.values())}/{len(domains)} {_line(domain, result)}")
    return counts


def summary(counts: Counter[str]) -> str:
    """What came of all, in one line."""
    return ", ".join(_counted(counts))


def _counted(counts: Counter[str]) -> Iterator[str]:
    yield f"{counts.total()} domains"
    for status, word in (*_DONE.items(), ("errored", "failed")):
        yield f"{counts[status]} {word}"


def _line(domain: str, result: PolicyResult) -> str:
    policy = result.policy
    held = f"mode {policy.mode}" if policy.version else "no policy"
    if policy.error:
        return printable(f"{domain}: {held}; {policy.error.message} ({policy.error.code})")
    return f"{domain}: {held}, {_DONE[result.status]}"
