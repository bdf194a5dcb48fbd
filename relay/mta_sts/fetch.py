"""Fetching a policy file over HTTPS (RFC 8461 §3.3): the only GET the relay makes for policies.

Knows no cache and no DNS record. Every way to fail is an MtaStsError with its documented code.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, zip_longest
from pathlib import Path

import httpx

from relay.address import Domain, Network, is_allowed
from relay.mta_sts.error import MtaStsError
from relay.resolver import DnsStatus, Resolver
from relay.witness import Witness, handshake_of

Fetch = Callable[[Domain], Awaitable[bytes]]
"""Gives the body of a domain's policy file. Raises MtaStsError."""

_SIZE_LIMIT = 65_536  # octets, RFC 8461 §3.3
_TEXT_PLAIN = re.compile(r"text/plain[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_PATH = "/.well-known/mta-sts.txt"
_OK = 200
_TEXT_LIMIT = 200  # characters kept of an error's text
# httpx lets through what TLS meets after the handshake, such as a record that is spoiled
_TROUBLE = (httpx.HTTPError, ssl.SSLError)
_AT_ONCE = 100  # fetches under way, each with a connection; further ones wait for their turn
_ADDRESSES = 4  # tried of one host
_ADDRESS_TIME = 10.0  # seconds one of several addresses may take to connect, TLS included
# RFC 8461 §3.3: no caching; nothing compressed, so that the size limit means what it says
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity", "User-Agent": "mta-sts-relay"}


@dataclass(frozen=True)
class FetchSettings:
    """How to fetch; `timeout` in seconds for the whole transfer, `ca_file` None: system roots.

    `proxy` is the URL of an HTTP proxy. It resolves the policy host, so that `allow_internal` is
    not looked at; None: the relay connects itself.
    """

    timeout: float = 60.0
    port: int = 443
    allow_internal: Sequence[Network] = ()
    ca_file: Path | None = None
    proxy: str | None = None


class PolicyFetcher:
    """Fetches from addresses it has vetted itself, with the certificate checked for the name."""

    def __init__(self, resolver: Resolver, settings: FetchSettings) -> None:
        """Addresses come from `resolver` alone."""
        self._resolver = resolver
        self._settings = settings
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return _trusting(self._settings.ca_file) if self._settings.ca_file else _system_context()

    async def fetch(self, domain: Domain) -> bytes:
        """The body at https://mta-sts.DOMAIN/.well-known/mta-sts.txt. Raises MtaStsError."""
        host = f"mta-sts.{domain}"
        async with self._turns:
            places = (host,) if self._settings.proxy else _in_turn(await self._vetted(host))
            try:
                async with asyncio.timeout(self._settings.timeout):
                    return await self._first_that_connects(host, places)
            except TimeoutError:
                raise _timed_out(host) from None
            except _TROUBLE as error:
                raise _error_of(host, error) from None

    async def _first_that_connects(self, host: str, places: Sequence[str]) -> bytes:
        async with self._client(len(places)) as client:
            for place in places[:-1]:
                try:
                    return await self._get(client, host, place)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    if _certificate_fault(error):
                        raise
            return await self._get(client, host, places[-1])

    # A client of its own for each fetch: no cookies and no kept connections
    def _client(self, places: int) -> httpx.AsyncClient:
        total = self._settings.timeout
        connect = min(_ADDRESS_TIME, total / places) if places > 1 else total
        return httpx.AsyncClient(
            verify=self._context,
            trust_env=False,
            timeout=httpx.Timeout(total, connect=connect),
            proxy=self._settings.proxy,
            event_hooks={"response": [_check_status]},
        )

    async def _get(self, client: httpx.AsyncClient, host: str, place: str) -> bytes:
        where = f"[{place}]" if ":" in place else place
        # RFC 8461 §7.1: SNI and the certificate check are for the policy host's name
        request = client.stream(
            "GET",
            f"https://{where}:{self._settings.port}{_PATH}",
            headers={**_HEADERS, "Host": host},
            extensions={"sni_hostname": host},
        )
        return await _read(request, host)

    async def _vetted(self, host: str) -> tuple[str, ...]:
        answer = await self._resolver.addresses(host)
        match answer.status:
            case DnsStatus.NXDOMAIN:
                raise MtaStsError("ENOTFOUND", f"{host} does not exist")
            case DnsStatus.NODATA:
                raise MtaStsError("ENODATA", f"{host} has no address")
            case DnsStatus.TROUBLE:
                raise MtaStsError("dns_error", f"{host} cannot be looked up: {answer.detail}")
        allowed = [one for one in answer.records if is_allowed(one, self._settings.allow_internal)]
        if not allowed:
            shown = ", ".join(answer.records[:_ADDRESSES])
            text = f"{host} has only internal addresses ({shown})"
            raise MtaStsError("unsafe_address", text)
        return tuple(allowed)


async def fetch_with(client: httpx.AsyncClient, domain: Domain, timeout: float) -> bytes:  # noqa: ASYNC109 - of the whole transfer
    """The body, by someone else's client and its own resolving. Raises MtaStsError."""
    host = f"mta-sts.{domain}"
    try:
        async with asyncio.timeout(timeout):
            request = client.stream(
                "GET", f"https://{host}{_PATH}", headers=_HEADERS, follow_redirects=False
            )
            return await _read(request, host)
    except TimeoutError:
        raise _timed_out(host) from None
    except _TROUBLE as error:
        raise _error_of(host, error) from None


# It takes 30 ms to make
@cache
def _system_context() -> ssl.SSLContext:
    return _trusting(None)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # RFC 8461 §3.3: DNS-ID only, the common name is ignored
    context.hostname_checks_common_name = False
    # On by default from Python 3.13; it refuses some roots in use, and no RFC here asks for it
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.sslobject_class = Witness
    return context


# One family may lead nowhere from here: they take turns
def _in_turn(addresses: Sequence[str]) -> tuple[str, ...]:
    six = [one for one in addresses if ":" in one]
    four = [one for one in addresses if ":" not in one]
    turns = chain.from_iterable(zip_longest(six, four))
    return tuple(one for one in turns if one)[:_ADDRESSES]


def _timed_out(host: str) -> MtaStsError:
    return MtaStsError("HTTP_SOCKET_TIMEOUT", f"Request timeout for https://{host}{_PATH}")


# RFC 8461 §3.3: only 200 counts. In a client of ours a hook asks this before httpx looks where a
# redirect leads, as it stumbles over what is no URL
async def _check_status(response: httpx.Response) -> None:
    code = response.status_code
    if code != _OK:
        where = f"https://{response.request.headers['Host']}{_PATH}"
        raise MtaStsError(f"http_status_{code}", f"{where} answered {code}")


# RFC 8461 §3.3: redirects are not followed, the size is bounded while reading
async def _read(request: AbstractAsyncContextManager[httpx.Response], host: str) -> bytes:
    async with request as response:
        await _check_status(response)
        kind = response.headers.get("content-type", "")
        if not _TEXT_PLAIN.fullmatch(kind.strip(" \t")):
            message = f"https://{host}{_PATH} is {kind[:80]!a}, not text/plain"
            raise MtaStsError("invalid_content_type", message)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _SIZE_LIMIT:
                message = f"https://{host}{_PATH} is larger than {_SIZE_LIMIT} octets"
                raise MtaStsError("policy_too_large", message)
        if _may_be_cut(response, body):
            raise MtaStsError("http_error", f"https://{host}{_PATH} may have been cut off")
        return bytes(body)


# RFC 9112 §9.8: without a length only the end of the connection tells the end of the body, and that
# anyone on the way can bring about. A line cut short would be another host or a shorter max_age
def _may_be_cut(response: httpx.Response, body: bytearray) -> bool:
    told = {"content-length", "transfer-encoding"} & set(response.headers)
    return not told and not body.endswith(b"\n")


def _error_of(host: str, error: Exception) -> MtaStsError:
    if isinstance(error, httpx.TimeoutException):
        return _timed_out(host)
    if fault := _certificate_fault(error):
        why = getattr(fault, "verify_message", "") or str(fault)
        text = f"the certificate of {host} is not valid: {why}"
        return MtaStsError("webpki_invalid", text, handshake=handshake_of(fault))
    # what the host sent may be quoted, up to the HTTP client's own limit of 100 000 octets
    text = ascii(str(error))[1:-1][:_TEXT_LIMIT] or type(error).__name__
    return MtaStsError("http_error", f"https://{host}{_PATH} cannot be fetched: {text}")


def _certificate_fault(error: BaseException) -> ssl.SSLCertVerificationError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
