"""An alarm: wakes a waiting loop when something was put before it, or when its time is up."""

from __future__ import annotations

import asyncio


class Alarm:
    """Rung by anybody, waited for by one loop; a ring before the wait is not lost."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the loop now."""
        self._rung.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait for a ring, at most so many seconds; None means as long as it takes."""
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._rung.clear()
