"""Alerts by HTTP: a POST of the JSON object. The only file here that imports httpx.

Its transport alone is used: its client logs URLs, and in those are secrets.
"""

import asyncio
import ssl
from functools import cached_property
from pathlib import Path

import httpx

_TIMEOUT = 30.0  # seconds, for all of it
_SUCCESS = range(200, 300)
_SHOWN = 200  # characters of an error that are told
_HEADERS = {"Content-Type": "application/json", "User-Agent": "mta-sts-relay"}


class Webhook:
    """Posts to one URL; certificates are verified, redirects not followed, proxies not asked."""

    def __init__(self, url: str, ca_file: Path | None, longest: float = _TIMEOUT) -> None:
        """`ca_file` None: the system's roots. A call takes `longest` seconds at most."""
        self._url = httpx.URL(url)
        self._ca_file = ca_file
        self._longest = longest

    def __str__(self) -> str:
        """Without user name, path and query, which may be secrets."""
        return f"alert.webhook ({self._url.scheme}://{self._url.netloc.decode('ascii')})"

    async def tell(self, data: bytes) -> str | None:
        """See Channel."""
        try:
            async with asyncio.timeout(self._longest):
                code = await self._post(data)
        except TimeoutError:
            return f"gave no answer within {self._longest:.0f} seconds"
        except (httpx.HTTPError, OSError) as error:
            text = ascii(str(error))[1:-1][:_SHOWN] or type(error).__name__
            return f"cannot be reached: {text}"
        return None if code in _SUCCESS else f"answered {code}"

    async def _post(self, data: bytes) -> int:
        context = await asyncio.to_thread(getattr, self, "_context")
        request = httpx.Request("POST", self._url, headers=_HEADERS, content=data)
        if self._url.userinfo:
            auth = httpx.BasicAuth(self._url.username, self._url.password)
            request = next(auth.auth_flow(request))
        async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
        return response.status_code

    # It takes 30 ms to make
    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # As for policy hosts and MX hosts
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
