"""Settings of a worker process, read once at start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PostgresDsn, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from partners.port import Environment


def _as_seconds(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Duration = Annotated[timedelta, BeforeValidator(_as_seconds)]
"""Seconds, such as 90, or a duration of ISO 8601, such as PT90S."""


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
    partners: Annotated[tuple[str, ...], Field(min_length=1)]  # by name; see partners.loading.load
    rules_file: Path
    environment: Environment = Environment.TEST
    """Has to be what every partner's settings declare; so nothing live is reached by forgetting."""
    sweep_every: Duration = Field(default=timedelta(seconds=60), ge=timedelta(seconds=1))
    """How often register and runs are compared."""
    sweep_grace: Duration = Field(default=timedelta(seconds=60), ge=timedelta())
    """How long a payment has to be untouched, or a run open, before the sweeper looks at it."""
    check_every: Duration = Field(
        default=timedelta(seconds=60), ge=timedelta(seconds=1), le=timedelta(minutes=5)
    )
    """How often what is new in the books is checked."""
    check_full_hour: int = Field(default=2, ge=0, le=23)
    """The hour of the day (UTC) at which all of the books are checked."""
    ready_file: Path | None = None  # touched once the worker polls, for health checks
    workflow_tasks_max: int = Field(default=16, ge=1, le=10_000)  # each is CPU-bound at first
    book_steps_max: int = Field(default=512, ge=1, le=10_000)
    partner_calls_max: int = Field(default=200, ge=1, le=10_000)
    shutdown_grace: Duration = Field(
        default=timedelta(seconds=20), ge=timedelta(), le=timedelta(hours=1)
    )

    @field_validator("ready_file")
    @classmethod
    def _in_a_directory(cls, value: Path | None) -> Path | None:
        if value is not None and not value.parent.is_dir():
            raise ValueError(f"there is no directory {value.parent}")
        return value
