"""Settings of the gateway, read once at start from BURSAR_… or from files of secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from bursar.payments import PartnerName
from ledger.connections import DatabaseUrl
from partners.port import Environment

SECRETS_DIR_VARIABLE = "BURSAR_SECRETS_DIR"


class Settings(BaseSettings):
    """A missing or mistyped value stops the gateway before it takes a request.

    Environment: BURSAR_<FIELD>; or a file of that name in the directory BURSAR_SECRETS_DIR.
    """

    model_config = SettingsConfigDict(env_prefix="BURSAR_", frozen=True, extra="ignore")

    database_url: DatabaseUrl
    """The login that may write the books; no default: never guess whose books these are."""
    tokens_file: Path
    partners: Annotated[tuple[PartnerName, ...], Field(min_length=1)]
    """JSON list of the partners whose events come in, such as ["simulator"]."""
    environment: Environment = Environment.TEST
    """Has to be what every partner's settings declare; so nothing live is reached by forgetting."""
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "bursar"
    gateway_host: str = "127.0.0.1"
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    gateway_shutdown_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How long running requests may take to end once the gateway is told to stop."""


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        pydantic.ValidationError: A value is missing or wrong.
    """
    return Settings(_secrets_dir=os.environ.get(SECRETS_DIR_VARIABLE))
