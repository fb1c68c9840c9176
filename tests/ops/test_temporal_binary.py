"""Where Temporal's binary comes from: one place after the other, each told to the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.temporal_binary import CLI_VERSION, TemporalNotFound, find_temporal

WORKS = "#!/bin/sh\necho temporal version 9.9.9\n"
BROKEN = "#!/bin/sh\nexit 1\n"
SILENT_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.26.0; exit; fi
echo "github.com/a/package" >&2
printf '#!/bin/sh\\necho temporal version built\\n' > "$GOBIN/temporal"
/bin/chmod +x "$GOBIN/temporal"
"""
FAILING_GO = (
    '#!/bin/sh\nif [ "$1" = env ]; then echo go1.26.0; exit; fi\necho no such module >&2\nexit 1\n'
)
SILENCE_SECONDS = 0.5  # nothing ever arrives from `nowhere`
OLD_GO = "#!/bin/sh\necho go1.19.8\n"


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script)
    file.chmod(0o755)
    return file


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with nothing on it and no network for the SDK's download."""
    (tmp_path / "path").mkdir()
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": str(tmp_path / "path"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "HTTPS_PROXY": nowhere,
        "https_proxy": nowhere,
    }


def test_the_named_binary_goes_before_all_others(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    named = program(tmp_path / "mine" / "temporal", WORKS)
    program(tmp_path / "path" / "temporal", WORKS)
    assert find_temporal(environment={**environment, "BURSAR_TEMPORAL_CLI": str(named)}) == named


def test_a_named_binary_that_does_not_work_is_an_error_and_not_passed_over(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    named = program(tmp_path / "mine" / "temporal", BROKEN)
    program(tmp_path / "path" / "temporal", WORKS)
    with pytest.raises(TemporalNotFound, match="BURSAR_TEMPORAL_CLI"):
        find_temporal(environment={**environment, "BURSAR_TEMPORAL_CLI": str(named)})


def test_path_goes_before_the_cache(tmp_path: Path, environment: dict[str, str]) -> None:
    on_path = program(tmp_path / "path" / "temporal", WORKS)
    program(tmp_path / "cache" / "bursar" / "bin" / "temporal", WORKS)
    assert find_temporal(environment=environment) == on_path


def test_a_broken_binary_on_path_is_passed_over(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    program(tmp_path / "path" / "temporal", BROKEN)
    cached = program(tmp_path / "cache" / "bursar" / "bin" / f"temporal-{CLI_VERSION}", WORKS)
    assert find_temporal(environment=environment) == cached


def test_the_cache_prefers_the_pinned_version(tmp_path: Path, environment: dict[str, str]) -> None:
    cache = tmp_path / "cache" / "bursar" / "bin"
    program(cache / "temporal", WORKS)
    pinned = program(cache / f"temporal-{CLI_VERSION}", WORKS)
    assert find_temporal(environment=environment) == pinned


def test_with_nothing_there_it_is_built_once_and_then_cached(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    go = program(tmp_path / "path" / "go", SILENT_GO)
    said: list[str] = []
    built = find_temporal(
        said.append, environment=environment, download_silence_seconds_max=SILENCE_SECONDS
    )
    assert built == tmp_path / "cache" / "bursar" / "bin" / f"temporal-{CLI_VERSION}"
    assert any("Building" in line for line in said)
    assert {each.name for each in built.parent.iterdir()} == {built.name, "temporal.lock"}
    go.unlink()
    assert find_temporal(environment=environment) == built


@pytest.mark.parametrize(
    ("script", "reason"),
    [(FAILING_GO, "no such module"), (OLD_GO, r"go1\.19\.8.*1\.25"), (None, "Go is not on PATH")],
)
def test_when_all_fails_the_error_says_why_and_what_to_do(
    tmp_path: Path, environment: dict[str, str], script: str | None, reason: str
) -> None:
    if script is not None:
        program(tmp_path / "path" / "go", script)
    with pytest.raises(TemporalNotFound, match=reason) as failed:
        find_temporal(environment=environment, download_silence_seconds_max=SILENCE_SECONDS)
    for advice in ("install Go", "docs.temporal.io", "BURSAR_TEMPORAL_CLI"):
        assert advice in str(failed.value)
    assert not list((tmp_path / "cache" / "bursar" / "bin").glob("making-*"))
