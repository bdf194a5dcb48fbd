"""Alerts by HTTP: a POST of the JSON object. The only file here that imports httpx.

Its transport alone is used: its client logs URLs, and in those are secrets.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Thread

import httpx

_TIMEOUT = 30.0  # seconds, for all of it
_CONNECT = 5.0  # seconds for one of its addresses
_ADDRESSES = 4  # so that the last has its turn
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
        return f"alert.webhook ({self._url.scheme}://{self._netloc})"

    async def tell(self, data: bytes) -> str | None:
        """See Channel."""
        try:
            async with asyncio.timeout(self._longest):
                code = await self._post(data)
        except TimeoutError:
            return f"gave no answer within {self._longest:.0f} seconds"
        except (httpx.HTTPError, OSError, UnicodeError) as error:  # the last: of names
            text = ascii(str(error))[1:-1][:_SHOWN] or type(error).__name__
            return f"cannot be reached: {text}"
        return None if code in _SUCCESS else f"answered {code}"

    async def _post(self, data: bytes) -> int:
        context = await asyncio.to_thread(getattr, self, "_context")
        async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
            *others, last = (await _look_up(self._host))[:_ADDRESSES]
            for address in others:
                with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return await self._post_to(address, transport, data)
            return await self._post_to(last, transport, data)

    async def _post_to(self, address: str, transport: httpx.AsyncHTTPTransport, data: bytes) -> int:
        request = httpx.Request(
            "POST",
            self._url.copy_with(host=address),
            headers={**_HEADERS, "Host": self._netloc},
            content=data,
            extensions={"sni_hostname": self._host, "timeout": {"connect": _CONNECT}},
        )
        if self._url.userinfo:
            auth = httpx.BasicAuth(self._url.username, self._url.password)
            request = next(auth.auth_flow(request))
        response = await transport.handle_async_request(request)
        await response.aclose()
        return response.status_code

    @property
    def _netloc(self) -> str:
        return self._url.netloc.decode("ascii")

    @property
    def _host(self) -> str:
        return self._url.raw_host.decode("ascii")

    # It takes 30 ms to make
    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # As for policy hosts and MX hosts
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


# By the system, in a thread that nobody waits for: where its name servers are silent it asks for up
# to a minute, and the end of the process waits for the threads of the event loop
async def _look_up(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    def tell(addresses: list[str], error: Exception | None) -> None:
        if found.done():  # nobody waits any more
            return
        if error:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def ask() -> None:
        answer: tuple[list[str], Exception | None]
        try:
            rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answer = [str(row[4][0]) for row in rows], None
        except (OSError, UnicodeError) as error:
            answer = [], error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, *answer)

    Thread(target=ask, daemon=True).start()
    addresses: list[str] = await found
    return addresses
