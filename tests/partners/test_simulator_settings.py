"""What the simulated bank's adapter guarantees in each mode, and which settings stop its start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from bursar.errors import InvalidRequest
from partners.loading import load
from partners.simulator.rehearsal import OTHER_SECRET, SECRET
from partners.simulator.settings import Mode
from tests.partners.faults import Answers
from tests.partners.simulated import settings, the_bank


@pytest.mark.parametrize(
    ("mode", "keys", "finds", "proves_absence", "cancels"),
    [
        (Mode.KEYS_AND_LOOKUP, True, True, True, True),
        (Mode.LOOKUP_ONLY, False, True, True, True),
        (Mode.STATEMENT_ONLY, False, True, False, False),
        (Mode.NEITHER, False, False, False, False),
    ],
)
def test_each_mode_guarantees_what_the_bank_offers_in_it_and_no_more(
    mode: Mode, keys: bool, finds: bool, proves_absence: bool, cancels: bool
) -> None:
    told = the_bank(Answers(500), mode).guarantees

    assert told.may_resend(timedelta(seconds=1)) is keys
    assert told.finds_by_reference is finds
    assert (told.absence_after is not None) is proves_absence
    assert told.cancels_pending is cancels


def test_a_key_is_not_relied_on_past_half_of_its_lifetime() -> None:
    told = the_bank(Answers(500), key_lifetime_seconds=60).guarantees

    assert told.may_resend(timedelta(seconds=29))
    assert not told.may_resend(timedelta(seconds=30))


@pytest.mark.parametrize("secret", ["", "  ", "whsec_", "whsec_!", f"{SECRET} é", OTHER_SECRET[:9]])
def test_a_webhook_secret_that_cannot_be_one_stops_the_start(secret: str) -> None:
    with pytest.raises(ValidationError, match="webhook_secret"):
        settings(webhook_secret=secret)


def test_a_webhook_secret_that_is_wrong_is_not_shown_in_the_error() -> None:
    with pytest.raises(ValidationError) as refused:
        settings(webhook_secret="whsec_not-base64-but-secret!")

    assert "not-base64-but-secret" not in str(refused.value)


def test_the_adapter_is_built_from_its_environment_and_from_files_of_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "partner_simulator_api_key").write_text("key-from-a-file\n")
    (tmp_path / "partner_simulator_webhook_secret").write_text(f"{SECRET} {OTHER_SECRET}\n")
    monkeypatch.setenv("BURSAR_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("PARTNER_SIMULATOR_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PARTNER_SIMULATOR_MODE", "lookup_only")

    partner = load("simulator")

    assert partner.name == "simulator"
    assert partner.guarantees.key_lifetime is None


def test_one_rail_serves_several_partners_each_with_a_name_and_settings_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, mode in (("north", "lookup_only"), ("south", "keys_and_lookup")):
        prefix = f"PARTNER_{name.upper()}_"
        monkeypatch.setenv(f"{prefix}RAIL", "simulator")
        monkeypatch.setenv(f"{prefix}URL", "http://127.0.0.1:9")
        monkeypatch.setenv(f"{prefix}API_KEY", "key")
        monkeypatch.setenv(f"{prefix}WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv(f"{prefix}MODE", mode)

    north, south = load("north"), load("south")

    assert (north.name, south.name) == ("north", "south")
    assert north.guarantees.key_lifetime is None
    assert south.guarantees.key_lifetime is not None


def test_a_partner_of_an_unknown_rail_or_with_an_impossible_name_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARTNER_NORTH_RAIL", "nowhere")
    monkeypatch.setenv("PARTNER_NORTH-EAST_RAIL", "simulator")
    for name in ("north", "north-east"):
        with pytest.raises(InvalidRequest) as refused:
            load(name)
        assert refused.value.field == "partner"


def test_an_adapter_without_an_address_or_a_key_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "API_KEY", "WEBHOOK_SECRET"):
        monkeypatch.delenv(f"PARTNER_SIMULATOR_{name}", raising=False)
    monkeypatch.delenv("BURSAR_SECRETS_DIR", raising=False)

    with pytest.raises(InvalidRequest) as refused:
        load("simulator")

    for name in ("URL", "API_KEY", "WEBHOOK_SECRET"):
        assert f"PARTNER_SIMULATOR_{name}: Field required" in str(refused.value)
