"""Rules that need no reviewer: sizes, names, and the public face."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from pathlib import Path

import bursar

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 400
BANNED = {"utils", "helpers", "common", "base", "manager", "misc"}


def _ours() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split()]


def test_no_file_or_function_is_longer_than_a_reader_can_hold() -> None:
    too_long = []
    for path in _ours():
        text = path.read_text()
        if len(text.splitlines()) > FILE_LINES_MAX:
            too_long.append(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not too_long


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path in _ours() if path.stem in BANNED]


def test_every_file_opens_with_a_line_that_says_what_it_is() -> None:
    silent = [
        path
        for path in _ours()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_the_public_face_exports_exactly_what_it_imports() -> None:
    tree = ast.parse((ROOT / "bursar" / "__init__.py").read_text())
    imported = {
        name.asname or name.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert imported == set(bursar.__all__)
    assert sorted(bursar.__all__) == bursar.__all__


def test_no_folder_of_tests_is_forgotten() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = set(settings["tool"]["pytest"]["ini_options"]["testpaths"])
    there = {f"tests/{path.relative_to(ROOT).parts[1]}" for path in ROOT.glob("tests/*/test_*.py")}
    assert named == there


def test_only_the_public_face_goes_into_the_wheel() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert 'packages = ["bursar"]' in pyproject
