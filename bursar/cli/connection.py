"""Connection: where the services are: option, then environment, then `.bursar/connection.json`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from bursar.errors import InvalidRequest

CONNECTION_FILE = Path(".bursar/connection.json")
"""Written by a running local stack; looked for in the working directory."""

SECRETS_DIR_VARIABLE = "BURSAR_SECRETS_DIR"


class Connection(BaseSettings):
    """Where Temporal and the gateway are, and with which token the gateway is asked.

    Environment: BURSAR_<FIELD>, or a file of that name in the directory BURSAR_SECRETS_DIR.
    """

    model_config = SettingsConfigDict(
        env_prefix="BURSAR_", frozen=True, extra="ignore", json_file=CONNECTION_FILE
    )

    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "bursar"
    gateway_url: str | None = None
    token: SecretStr | None = None
    ui_url: str | None = None
    """Temporal's web page, where the local stack knows one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read options first, then the environment, secret files, and the connection file."""
        return (
            init_settings,
            env_settings,
            file_secret_settings,
            JsonConfigSettingsSource(settings_cls),
        )


def load(**options: str | None) -> Connection:
    """Return the settings, options given on the command line first.

    Raises:
        InvalidRequest: The connection file or a variable cannot be read.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        return Connection(_secrets_dir=os.environ.get(SECRETS_DIR_VARIABLE), **given)
    except (ValidationError, SettingsError, ValueError, OSError) as error:
        raise InvalidRequest(
            f"the settings cannot be read; look at {CONNECTION_FILE} and the BURSAR_… variables, "
            f"or remove the file and run `make run` again: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    """Return what was wrong without the values, which may be secret."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
    return str(error).partition("\n")[0]
