"""Run the gateway: `python -m gateway`."""

from __future__ import annotations

import asyncio
import signal

import structlog
import uvicorn

from bursar.exit import leave
from bursar.faults import FAULTS, explain
from gateway.app import create_app
from gateway.logs import write_json_logs
from gateway.resources import Opening, open_resources
from gateway.settings import Settings, read_settings

_log = structlog.get_logger("gateway")


async def serve(settings: Settings, opening: Opening = open_resources) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests end."""
    async with opening(settings) as resources:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(resources),
                host=settings.gateway_host,
                port=settings.gateway_port,
                log_config=None,  # ours is set already
                access_log=False,  # the door writes one line for each request
                server_header=False,
                timeout_graceful_shutdown=settings.gateway_shutdown_seconds,
            )
        )
        # uvicorn raises a signal once more after it has stopped for it; here that means nothing.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        _log.info("serving", host=settings.gateway_host, port=settings.gateway_port)
        await server.serve()
        _log.info("stopped")


def main() -> int:
    """Read the settings and serve; say in one line why not, where it cannot start."""
    write_json_logs()
    try:
        asyncio.run(serve(read_settings()))
    except FAULTS as error:
        return explain("gateway", error)
    return 0


if __name__ == "__main__":
    leave(main())
