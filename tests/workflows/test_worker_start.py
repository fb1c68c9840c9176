"""A worker that cannot start says why in one line, by the names that a person can set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "examples" / "local" / "rules.toml"

COMPLETE = {
    "BURSAR_DATABASE_URL": "postgresql://worker:hidden@127.0.0.1:1/bursar",
    "BURSAR_PARTNERS": '["simulator"]',
    "BURSAR_RULES_FILE": str(RULES),
    "BURSAR_TEMPORAL_ADDRESS": "127.0.0.1:1",
    "PARTNER_SIMULATOR_URL": "http://127.0.0.1:9",
    "PARTNER_SIMULATOR_API_KEY": "hidden",
    "PARTNER_SIMULATOR_WEBHOOK_SECRET": "whsec_aG91c2Utc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmchIQ==",
}


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"BURSAR_DATABASE_URL": ""}, 2, "BURSAR_DATABASE_URL"),
        ({"BURSAR_PARTNERS": "simulator"}, 2, "partners"),
        ({"BURSAR_PARTNERS": '["nobody"]'}, 2, "nobody"),
        ({"BURSAR_RULES_FILE": "/nothing/rules.toml"}, 2, "/nothing/rules.toml"),
        ({"PARTNER_SIMULATOR_API_KEY": None}, 2, "PARTNER_SIMULATOR_API_KEY"),
        ({}, 6, "cannot start"),  # nothing listens where the books should be
    ],
)
def test_what_stops_a_start_is_said_in_one_line_and_without_secrets(
    changes: dict[str, str | None], code: int, word: str
) -> None:
    wanted = {**COMPLETE, **changes}
    ended = subprocess.run(
        [sys.executable, "-m", "workers"],
        env={"PATH": os.environ["PATH"]} | {k: v for k, v in wanted.items() if v is not None},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    [line] = ended.stderr.splitlines()
    assert (ended.returncode, word in line, "hidden" in ended.stderr) == (code, True, False)


def test_a_queue_that_is_not_there_is_named_with_those_that_are() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "--queue", "payment"],
        env={"PATH": os.environ["PATH"], **COMPLETE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "there are payments, partner-simulator" in ended.stderr
