"""A worker runs the workflows' modules as they were when it started."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.code import keep_code


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules that nothing has loaded yet, and one that only looks like it."""
    for name in ("kept_ones", "kept_ones_not"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "flow.py").write_text("release = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # as in an image
    return tmp_path


def _loaded_anew(name: str) -> Any:
    """Load a module as the sandbox does for every run: nothing of it is there already."""
    for loaded in [each for each in sys.modules if each.startswith("kept_ones")]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_a_file_that_a_deployment_replaces_changes_no_run_of_this_release(package: Path) -> None:
    keep_code("kept_ones")
    assert _loaded_anew("kept_ones.flow").release == 1
    (package / "kept_ones" / "flow.py").write_text("release = 22\n")
    again = _loaded_anew("kept_ones.flow")
    assert again.release == 1
    assert again.__file__ == str(package / "kept_ones" / "flow.py")


def test_every_run_gets_modules_of_its_own(package: Path) -> None:
    """Only the code is kept: what one run does to a module is not seen by the next."""
    keep_code("kept_ones")
    _loaded_anew("kept_ones.flow").release = 7
    assert _loaded_anew("kept_ones.flow").release == 1


def test_other_packages_are_loaded_as_ever(package: Path) -> None:
    keep_code("kept_ones")
    assert _loaded_anew("kept_ones_not.flow").release == 1
    (package / "kept_ones_not" / "flow.py").write_text("release = 22\n")
    assert _loaded_anew("kept_ones_not.flow").release == 22


def test_keeping_a_package_twice_is_keeping_it_once(package: Path) -> None:
    before = len(sys.meta_path)
    keep_code("kept_ones")
    keep_code("kept_ones")
    assert len(sys.meta_path) == before + 1
