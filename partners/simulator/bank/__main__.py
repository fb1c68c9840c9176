"""The bank's process: `python -m partners.simulator.bank`."""

from __future__ import annotations

from partners.simulator.bank import logs, server, settings
from partners.simulator.bank.app import create_app


def main() -> None:
    """Serve the bank until it is told to stop."""
    logs.to_stdout()
    read = settings.load()
    if not server.serve(create_app(read), read):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
