"""Settings: a malformed rules file, tokens file or variable stops a start, in one line, with exit code 2."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from activities.rules import read_rules
from bursar.errors import InvalidRequest
from bursar.payments import PaymentKind
from gateway.tokens import TokensFileInvalid, read_tokens

SECRET = "hidden5ecret"
DIGEST = hashlib.sha256(b"x").hexdigest()
ROOT = Path(__file__).parents[2]

RULES: tuple[tuple[bytes, str], ...] = (
    *(
        (raw, "TOML")
        for raw in (b"x", b"=", b"[", b"[[", b"a = ", b'a = "', b"\xff\xfe", b"a = 1\na = 2")
    ),
    *(
        (raw, "TOML")
        for raw in (b"a = 01", b"[a]\n[a]", b"a = " + b"[" * 5_000, b"\0", b"a = 1 b = 2")
    ),
    (b"strange = 1", "strange"),
    (b'trust_signal_actors = "yes"', "trust_signal_actors"),
    (b"trust_signal_actors = 1", "trust_signal_actors"),
    (b"approvals = 1", "approvals"),
    (b"approvals = {}", "approvals"),
    (b'approvals = [{ role = "approve" }]', "approvals.0.number"),
    *(
        (b'approvals = [{ number = %s, role = "approve" }]' % number, "approvals.0.number")
        for number in (
            b"0",
            b"-1",
            b"6",
            b"1.5",
            b'"1"',
            b"true",
            b"nan",
            b"inf",
            b"[]",
            b"1979-05-27",
        )
    ),
    *(
        (b"approvals = [{ number = 1, role = %s }]" % role, "approvals.0.role")
        for role in (
            b'""',
            b'"aprove"',
            b'"approve l1"',
            b'"resolve"',
            b'"Approve"',
            b"1",
            b"[]",
            b'"approve-"',
        )
    ),
    *(
        (b'approvals = [{ number = 1, role = "approve", %s }]' % rest, "approvals.0." + where)
        for rest, where in (
            (b'kind = "wire"', "kind"),
            (b'currency = "EURO"', "currency"),
            (b'currency = "usd"', "currency"),
            (b'partner = "No Bank"', "partner"),
            (b"amount_from_minor = -1", "amount_from_minor"),
            (b"amount_from_minor = 10.5", "amount_from_minor"),
            (b"amount_from_minor = 99999999999999999999", "amount_from_minor"),
            (b'amount_from_minor = "10000"', "amount_from_minor"),
            (b"amount_minor = 1", "amount_minor"),
        )
    ),
    *(
        (b'fees = [{ kind = "payout", %s }]' % rest, "fees.0." + where)
        for rest, where in (
            (b"fixed_minor = -1", "fixed_minor"),
            (b"fixed_minor = 0.2", "fixed_minor"),
            (b"rate_bps = -1", "rate_bps"),
            (b"rate_bps = 10001", "rate_bps"),
            (b"rate_bps = 2.5", "rate_bps"),
            (b"percent = 1", "percent"),
            (b'currency = "XXX"', "currency"),
        )
    ),
    (b"fees = [{ fixed_minor = 1 }]", "fees.0.kind"),
    (b'people = [{ name = "", roles = [] }]', "people.0.name"),
    (b'people = [{ name = "ana" }]', "people.0.roles"),
    (b'people = [{ name = "ana", roles = "approve" }]', "people.0.roles"),
    (b'people = [{ name = "ana", roles = ["No Role"] }]', "people.0.roles"),
    *(
        (b"[delays]\n%s = %s" % (name, value), "delays." + name.decode())
        for name in (
            b"approval_expires_after",
            b"partner_call_timeout",
            b"submit_for",
            b"ask_for",
            b"poll_every",
        )
        for value in (
            b"-1",
            b"nan",
            b"inf",
            b"-inf",
            b"1e300",
            b'"5s"',
            b"true",
            b"[]",
            b"99999999999",
        )
    ),
    (b"[delays]\npoll_every = 0", "delays.poll_every"),
    (b"[delays]\nask_again_after = []", "delays.ask_again_after"),
    (b"[delays]\nask_again_after = [0]", "delays.ask_again_after"),
    (b"[delays]\nask_again_after = [nan]", "delays.ask_again_after"),
    (b"[delays]\nask_again_after = 5", "delays.ask_again_after"),
    (b"[delays]\nresends_max = -1", "delays.resends_max"),
    (b"[delays]\nresends_max = 1.5", "delays.resends_max"),
    (b"[delays]\npatience = 5", "delays.patience"),
    *(
        (
            b'approvals = [{ number = 2, role = "approve" }, { number = 1, role = "approve-l2", %s }]'
            % more,
            "rules 1 and 2",
        )
        for more in (b'currency = "EUR"', b'kind = "payout"', b"amount_from_minor = 1_000_000")
    ),
)


@pytest.mark.parametrize("number", range(len(RULES)))
def test_a_rules_file_that_says_what_no_rule_can_mean_is_refused_with_file_and_place(
    tmp_path: Path, number: int
) -> None:
    raw, place = RULES[number]
    path = tmp_path / "rules.toml"
    path.write_bytes(raw)
    with pytest.raises(InvalidRequest) as raised:
        read_rules(path)
    said = str(raised.value)
    assert str(path) in said
    assert place in said
    assert "\n" not in said
    assert len(said) < 600


def test_a_rules_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none" / "rules.toml", Path("x" * 5_000)):
        with pytest.raises(InvalidRequest) as raised:
            read_rules(path)
        assert str(path)[:50] in str(raised.value)


def token(**changes: str) -> bytes:
    """Return a tokens file with one entry, one thing of it changed."""
    entry = {"principal": '"ops"', "sha256": f'"{DIGEST}"', "roles": '["read"]', **changes}
    lines = "\n".join(f"{name} = {value}" for name, value in entry.items() if value)
    return f"[[tokens]]\n{lines}\n".encode()


TOKENS: tuple[tuple[bytes, str], ...] = (
    *(
        (raw, "TOML")
        for raw in (b"x", b"[", b"\xff", b"a = " + b"[" * 5_000, b"\0", token() + b"x")
    ),
    *(
        (raw, "tokens")
        for raw in (b"", b"tokens = 1", b"tokens = {}", b"tokens = [1]", b'tokens = ["x"]')
    ),
    (b"strange = 1\n" + token(), "strange"),
    (token(note='"x"'), "tokens.0.note"),
    *(
        (token(principal=value), "principal")
        for value in ("", '""', '" ops"', "1", "[]", '"' + "a" * 81 + '"')
    ),
    *(
        (token(sha256=value), "sha256")
        for value in (
            "",
            '""',
            f'"{SECRET}"',
            f'"{DIGEST[:-1]}"',
            f'"{DIGEST.upper()}"',
            "1",
            f'" {DIGEST}"',
        )
    ),
    *(
        (token(roles=value), "roles")
        for value in (
            "",
            "[]",
            '"read"',
            '["root"]',
            '["Read"]',
            '["approve-"]',
            "[1]",
            '["approve_l1"]',
            "{}",
        )
    ),
    (token() + token(), "twice"),
)


@pytest.mark.parametrize("number", range(len(TOKENS)))
def test_a_tokens_file_that_is_wrong_is_refused_with_place_and_without_what_stands_there(
    tmp_path: Path, number: int
) -> None:
    raw, place = TOKENS[number]
    path = tmp_path / "tokens.toml"
    path.write_bytes(raw)
    with pytest.raises(TokensFileInvalid) as raised:
        read_tokens(path)
    said = str(raised.value)
    assert str(path) in said
    assert place in said
    assert "\n" not in said
    assert SECRET not in said


COMPLETE = {
    "BURSAR_DATABASE_URL": f"postgresql://worker:{SECRET}@127.0.0.1:1/bursar",
    "BURSAR_DATABASE_ADMIN_URL": f"postgresql://admin:{SECRET}@127.0.0.1:1/bursar",
    "BURSAR_PARTNERS": '["simulator"]',
    "BURSAR_RULES_FILE": str(ROOT / "examples" / "local" / "rules.toml"),
    "BURSAR_TEMPORAL_ADDRESS": "127.0.0.1:1",
    "PARTNER_SIMULATOR_URL": "http://127.0.0.1:9",
    "PARTNER_SIMULATOR_API_KEY": SECRET,
    "PARTNER_SIMULATOR_WEBHOOK_SECRET": "whsec_aG91c2Utc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmchIQ==",
}
PARTNERS = (
    ("PARTNER_SIMULATOR_URL", SECRET),
    ("PARTNER_SIMULATOR_URL", f"ftp://{SECRET}"),
    ("PARTNER_SIMULATOR_API_KEY", ""),
    ("PARTNER_SIMULATOR_API_KEY", f"{SECRET}é"),
    ("PARTNER_SIMULATOR_API_KEY", f"{SECRET}\nX-Admin: 1"),
    ("PARTNER_SIMULATOR_WEBHOOK_SECRET", SECRET),
    ("PARTNER_SIMULATOR_MODE", SECRET),
    ("PARTNER_SIMULATOR_TIMEOUT_SECONDS", "nan"),
    ("PARTNER_SIMULATOR_TIMEOUT_SECONDS", "-1"),
    ("PARTNER_SIMULATOR_KEY_LIFETIME_SECONDS", "inf"),
    ("PARTNER_SIMULATOR_KEY_LIFETIME_SECONDS", "1e300"),
    ("PARTNER_SIMULATOR_LOOKUP_LAG_SECONDS", "inf"),
    ("PARTNER_SIMULATOR_RATE_PER_SECOND", "inf"),
    ("PARTNER_SIMULATOR_RATE_PER_SECOND", "0"),
    ("PARTNER_SIMULATOR_CURRENCIES", SECRET),
    ("PARTNER_SIMULATOR_CURRENCIES", '["EURO"]'),
    ("PARTNER_SIMULATOR_BENEFICIARIES", '["cash"]'),
)


@pytest.mark.parametrize(("variable", "value"), PARTNERS)
def test_a_partners_setting_that_is_wrong_is_named_before_any_call_is_made(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    from partners.loading import load

    for name, right in COMPLETE.items():
        monkeypatch.setenv(name, right)
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidRequest) as raised:
        load("simulator")
    said = str(raised.value)
    assert variable in said or variable.rpartition("SIMULATOR_")[2].lower() in said
    assert SECRET not in said
    assert "\n" not in said


PROGRAMS = (
    ("workers", "BURSAR_DATABASE_URL", SECRET),
    ("workers", "BURSAR_SWEEP_EVERY", "0"),
    ("workers", "BURSAR_SWEEP_EVERY", "often"),
    ("workers", "BURSAR_CHECK_EVERY", "9" * 40),
    ("workers", "BURSAR_PARTNERS", "[]"),
    ("workers", "BURSAR_SHUTDOWN_GRACE", "-5"),
    ("workers", "BURSAR_WORKFLOW_TASKS_MAX", "many"),
    ("workers", "BURSAR_READY_FILE", "/nothing/at/all/ready"),
    ("workers", "BURSAR_RULES_FILE", "/"),
    ("gateway", "BURSAR_DATABASE_URL", SECRET),
    ("gateway", "BURSAR_DATABASE_URL", f"postgresql://a:{SECRET}@127.0.0.1:port/x"),
    ("gateway", "BURSAR_GATEWAY_PORT", "99999"),
    ("ledger.migrate", "BURSAR_DATABASE_ADMIN_URL", SECRET),
    ("ledger.migrate", "BURSAR_DATABASE_ADMIN_URL", f"postgresql://a:{SECRET}@127.0.0.1:port/x"),
    ("ledger.migrate", "BURSAR_WORKER_PASSWORD", "short"),
)


@pytest.mark.parametrize(("program", "variable", "value"), PROGRAMS)
def test_a_program_with_a_wrong_variable_ends_with_2_and_one_line_that_names_it(
    tmp_path: Path, program: str, variable: str, value: str
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_bytes(token())
    ended = subprocess.run(
        [sys.executable, "-m", program],
        env={
            "PATH": os.environ["PATH"],
            "BURSAR_TOKENS_FILE": str(tokens),
            **COMPLETE,
            variable: value,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout
    assert ended.returncode == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert variable.lower() in line.lower() or value in line


def test_of_two_rules_with_two_roles_the_one_from_the_higher_amount_counts(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        'approvals = [{ number = 1, role = "approve-l2", amount_from_minor = 1_000 },'
        ' { number = 1, role = "approve" },'
        ' { number = 3, role = "approve-l3", currency = "EUR", amount_from_minor = 2_000 },'
        ' { number = 1, role = "approve-l3", kind = "transfer", amount_from_minor = 5_000 }]'
    )
    rules = read_rules(path)
    for amount, currency, role in (
        (999, "USD", "approve"),
        (1_000, "USD", "approve-l2"),
        (2_000, "USD", "approve-l2"),
        (2_000, "EUR", "approve-l3"),
    ):
        need = rules.approval_need(PaymentKind.PAYOUT, currency, None, amount)
        assert need is not None
        assert need.role == role
