"""Settings of a worker process, read once at start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from pydantic import Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """A missing or mistyped value stops the worker before it takes work.

    Environment: BURSAR_<FIELD>, or a file bursar_<field> in the directory BURSAR_SECRETS_DIR.
    """

    model_config = SettingsConfigDict(
        env_prefix="BURSAR_",
        frozen=True,
        extra="ignore",
        secrets_dir=os.environ.get("BURSAR_SECRETS_DIR"),
    )

    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "bursar"
    database_url: PostgresDsn  # no default: a worker must never guess whose books it writes
    partners: tuple[str, ...]  # by name; see partners.loading.load
    rules_file: Path
    ready_file: Path | None = None  # touched once the worker polls, for health checks
    workflow_tasks_max: int = Field(default=16, ge=1, le=10_000)  # each is CPU-bound at first
    book_steps_max: int = Field(default=512, ge=1, le=10_000)
    partner_calls_max: int = Field(default=200, ge=1, le=10_000)
    shutdown_grace: timedelta = timedelta(seconds=20)
