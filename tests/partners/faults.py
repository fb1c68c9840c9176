"""Faults of the network and of partners, put in where requests would leave the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx


class Fails(httpx.AsyncBaseTransport):
    """Raises instead of sending anything."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        raise self.error


class Answers(httpx.AsyncBaseTransport):
    """Answers every request in the same way, and keeps the requests."""

    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.body, self.headers = status, body, dict(headers or {})
        self.seen: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return httpx.Response(self.status, headers=self.headers, content=self.body)


class AnswersInTurn(httpx.AsyncBaseTransport):
    """Gives one prepared answer after the other."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answers.pop(0)


class LosesReplies(httpx.AsyncBaseTransport):
    """Delivers each request, and loses the answer on its way back."""

    def __init__(self) -> None:
        self._network = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._network.handle_async_request(request)
        await response.aread()
        await response.aclose()
        raise httpx.ReadTimeout("the answer was lost", request=request)

    async def aclose(self) -> None:
        await self._network.aclose()


class BreaksOff(httpx.AsyncBaseTransport):
    """Answers with a status and the beginning of a body, then fails while it is read or closed."""

    def __init__(
        self, status: int, start: bytes, *, reading: Exception | None, closing: Exception | None
    ) -> None:
        self._status, self._stream = status, _Broken(start, reading, closing)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self._status, stream=self._stream)


class _Broken(httpx.AsyncByteStream):
    def __init__(self, start: bytes, reading: Exception | None, closing: Exception | None) -> None:
        self._start, self._reading, self._closing = start, reading, closing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        if self._reading:
            raise self._reading

    async def aclose(self) -> None:
        if self._closing:
            raise self._closing
