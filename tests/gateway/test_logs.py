"""Logs: one JSON object a line, and of an exception only what it was and where."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from gateway.logs import write_json_logs

write_json_logs()
def fails():
    raise ValueError("DE89370400440532013000")

for log in (logging.getLogger("a library"), structlog.get_logger("ours")):
    log.info("all is well")
    try:
        fails()
    except ValueError:
        log.exception("something went wrong")
"""


def test_of_an_exception_the_log_tells_the_kind_and_the_place_and_not_the_message() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert b"DE89370400440532013000" not in ran.stdout + ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [record["logger"] for record in records] == ["a library"] * 2 + ["ours"] * 2
    for well, wrong in (records[:2], records[2:]):
        assert (well["event"], well["level"]) == ("all is well", "info")
        assert (wrong["event"], wrong["error"]) == ("something went wrong", "ValueError")
        assert wrong["at"][-1].endswith(" fails")
        assert wrong["timestamp"].endswith("Z")
