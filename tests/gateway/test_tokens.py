"""Tokens: only hashes are kept, and a file that is wrong stops the start with a clear word."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.tokens import Tokens, TokensFileInvalid, read_tokens
from tests.gateway.stand import write_tokens

HASH = hashlib.sha256(b"secret").hexdigest()
GOOD = f'[[tokens]]\nprincipal = "ana"\nsha256 = "{HASH}"\nroles = ["read", "approve-l1"]\n'


def read(directory: Path, content: str) -> Tokens:
    path = directory / "tokens.toml"
    path.write_text(content)
    return read_tokens(path)


def test_a_known_token_stands_for_its_principal_and_roles(tmp_path: Path) -> None:
    ana = read(tmp_path, GOOD).principal_of("secret")
    assert ana is not None
    assert ana.name == "ana"
    assert ana.roles == frozenset({"read", "approve-l1"})
    assert ana.approval_roles == ["approve-l1"]


@pytest.mark.parametrize("token", ["", "Secret", "secret ", HASH, "sécret", "\x00"])
def test_any_other_token_stands_for_nobody(tmp_path: Path, token: str) -> None:
    assert read(tmp_path, GOOD).principal_of(token) is None


def test_the_file_holds_no_token(tmp_path: Path) -> None:
    assert "token-of-" not in write_tokens(tmp_path).read_text()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[[tokens", "no TOML"),
        ("", "tokens"),
        ("tokens = 3", "tokens"),
        (GOOD.replace(HASH, "secret"), "tokens.0.sha256"),
        (GOOD.replace(HASH, HASH.upper()), "tokens.0.sha256"),
        (GOOD.replace('"ana"', '""'), "tokens.0.principal"),
        (GOOD.replace('["read", "approve-l1"]', "[]"), "tokens.0.roles"),
        (GOOD.replace("approve-l1", "aprove-l1"), "tokens.0.roles"),
        (GOOD + "token = 'secret'\n", "tokens.0.token"),
        (GOOD + GOOD, "twice"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_reason_and_without_its_values(
    tmp_path: Path, content: str, word: str
) -> None:
    with pytest.raises(TokensFileInvalid) as refused:
        read(tmp_path, content)
    assert word in str(refused.value)
    assert "tokens.toml" in str(refused.value)
    assert "'secret'" not in str(refused.value)


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TokensFileInvalid, match="cannot read"):
        read_tokens(tmp_path / "nothing.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TokensFileInvalid, match="is no TOML: it is not UTF-8"):
        read_tokens(binary)
