"""The process that all lines of an installation go through; told what to do by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from typing import Any

from tests.links import LOOPBACK, Link, Way, Weather


class Exchange:
    """All lines by name."""

    def __init__(self, links: dict[str, Link]) -> None:
        self._links = links

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what each line of a control connection asks for, and answer it with a line."""
        while line := await reader.readline():
            answer = await self._do(json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _do(self, wanted: dict[str, Any]) -> dict[str, Any]:
        name = wanted.pop("link", None)
        if name is not None:
            given = {**asdict(Weather()), **wanted}
            await self._links[name].change(Weather(**{**given, "way": Way(given["way"])}))
        return {name: link.dropped for name, link in self._links.items()}


class Weatherman:
    """The other end of the control connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = asyncio.Lock()

    async def change(self, link: str, weather: Weather | None = None) -> dict[str, int]:
        """Let a line be otherwise, or as usual; return how many answers each line has dropped."""
        return await self._say({"link": link, **asdict(weather or Weather())})

    async def dropped(self) -> dict[str, int]:
        """Return how many answers each line has dropped."""
        return await self._say({})

    async def _say(self, words: dict[str, Any]) -> dict[str, int]:
        async with self._lock:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
            try:
                writer.write(json.dumps(words).encode() + b"\n")
                answer: dict[str, int] = json.loads(await reader.readline())
            finally:
                writer.close()
        return answer


async def main() -> None:
    """Open the lines that the environment describes, and listen for changes."""
    links = {
        name: Link(target, port=port)
        for name, (port, target) in json.loads(os.environ["BATTERY_LINKS"]).items()
    }
    for link in links.values():
        await link.mend()
    control = await asyncio.start_server(
        Exchange(links).serve, LOOPBACK, int(os.environ["BATTERY_PROXY_PORT"])
    )
    async with control:
        await control.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
