"""Asking DNS for a domain's MTA-STS record (RFC 8461 §3.1). Knows no policy file."""

from relay.address import Domain
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.freshness import Discovery
from relay.mta_sts.record import parse_txt
from relay.resolver import Answer, DnsStatus, Resolver

_NAME_LIMIT = 253  # characters of a name that fits into DNS


async def discover(resolver: Resolver, domain: Domain) -> Discovery:
    """What the record of exactly this domain says; parents are never asked (RFC 8461 §3.4)."""
    name = f"_mta-sts.{domain}"
    if len(name) > _NAME_LIMIT:
        return Discovery(absence=MtaStsError("ENOTFOUND", f"{name} is too long for DNS"))
    return _read(name, await resolver.txt(name))


def _read(name: str, answer: Answer[tuple[bytes, ...]]) -> Discovery:
    if answer.status is not DnsStatus.FOUND:
        return _without_records(name, answer)
    try:
        found = parse_txt(answer.records)
    except MtaStsError as error:
        return Discovery(error=error)
    if found is None:
        return Discovery(absence=MtaStsError("ENODATA", f"{name} has no valid MTA-STS record"))
    return Discovery(id=found)


def _without_records(name: str, answer: Answer[tuple[bytes, ...]]) -> Discovery:
    match answer.status:
        case DnsStatus.NXDOMAIN:
            return Discovery(absence=MtaStsError("ENOTFOUND", f"{name} does not exist"))
        case DnsStatus.NODATA:
            return Discovery(absence=MtaStsError("ENODATA", f"{name} has no TXT record"))
        case _:
            text = f"the TXT record {name} cannot be looked up: {answer.detail}"
            return Discovery(error=MtaStsError("dns_error", text))
