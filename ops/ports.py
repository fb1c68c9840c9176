"""Ports: which ones are free on this machine's loopback address."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a TCP port of the loopback address and we could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(*, preferred: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """Return a free TCP port: the preferred one if it is free, else one that the kernel picks.

    Args:
        preferred: The port to take if nobody listens there.
        taken: Ports that are free now but promised to somebody already.
    """
    if preferred is not None and preferred not in taken and is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
