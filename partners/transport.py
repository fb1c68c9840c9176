"""The one seam in front of httpx: one request, one answer, and what is true when none comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import httpx
from pydantic import SecretStr

from bursar.reports import NotSent, Unknown
from partners.evidence import told

BODY_BYTES_MAX = 1_048_576
"""A longer answer is not read to its end; nothing that a partner has to say needs more."""

CONNECTIONS_MAX = 20
KEEP_ALIVE_SECONDS = 2.0
"""Shorter than usual servers keep an idle connection: one that the partner has closed already
would give `Unknown` for a request that nobody read."""

if find_spec("sniffio") is None:
    # httpx asks for it with each lock of each request, to learn which library runs the loop, and
    # what is not installed Python looks for on the whole path every time.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # Python's own word for "not there"

Below = httpx.AsyncBaseTransport
"""What carries a request: the network, or in a test whatever loses, delays or spoils it."""


@dataclass(frozen=True)
class Reply:
    """A whole answer; what it means for the money is the adapter's to say."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Transport:
    """Sends one request at a time to one partner: no retries, redirects, cookies or proxies.

    Only a request of which certainly no byte left is `NotSent`: no connection could be made, or
    had. Every other trouble is `Unknown`, a kept-alive connection that the partner closed included,
    because it may have read the request before.
    """

    def __init__(
        self,
        url: str,
        *,
        bearer: SecretStr,
        timeout_seconds: float,
        below: Below | None = None,
    ) -> None:
        """Prepare to talk to one partner; connects at the first request.

        Args:
            url: The partner's address, such as http://127.0.0.1:8100; may have a path.
            bearer: Sent as the Authorization header of every request.
            timeout_seconds: For the whole exchange, from waiting for a connection to the last byte.
            below: What carries requests instead of the network, where a test injects faults.
        """
        self._url = url.rstrip("/")
        self._bearer = bearer
        self._timeout_seconds = timeout_seconds
        # A connection must be given up well before the whole exchange is, or else the more
        # useful `NotSent` would drown in an `Unknown`.
        self._timeouts = httpx.Timeout(
            timeout_seconds, connect=timeout_seconds / 3, pool=timeout_seconds / 3
        ).as_dict()
        self._below = below or httpx.AsyncHTTPTransport(
            trust_env=False,
            retries=0,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, keepalive_expiry=KEEP_ALIVE_SECONDS
            ),
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | NotSent | Unknown:
        """Send one request and read its whole answer, whatever its status."""
        request = self._request(method, path, body=body, query=query, headers=headers)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotSent(evidence=self._words(error))
        except TimeoutError:
            return Unknown(evidence=f"no whole answer within {self._timeout_seconds:g} s")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return Unknown(evidence=self._words(error))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._below.aclose()

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        fixed = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a bound on the bytes read is a bound on the answer
            "Authorization": f"Bearer {self._bearer.get_secret_value()}",
            "User-Agent": "bursar",
        }
        if body is not None:
            fixed["Content-Type"] = "application/json"
        return httpx.Request(
            method,
            f"{self._url}{path}",
            params=query,
            headers={**fixed, **(headers or {})},
            content=body,
            extensions={"timeout": self._timeouts},
        )

    async def _exchange(self, request: httpx.Request) -> Reply | Unknown:
        response = await self._below.handle_async_request(request)
        body = bytearray()
        try:
            async for chunk in _chunks(response):
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    return Unknown(
                        evidence=f"status {response.status_code} with more than {BODY_BYTES_MAX} B"
                    )
        finally:
            await response.aclose()
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            return Unknown(evidence=told(f"status {response.status_code} encoded as {encoding}"))
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Reply(status=response.status_code, headers=lower, body=bytes(body))

    def _words(self, error: Exception) -> str:
        hide = (self._bearer.get_secret_value(),)
        return told(f"{type(error).__name__}: {error}", hide)


def _chunks(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the transport below must answer with an asynchronous stream")
    return response.stream
