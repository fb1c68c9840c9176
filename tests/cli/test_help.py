"""Help: every command says what it does and shows an example that works as it stands."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.core import TyperGroup

from bursar.cli import main
from bursar.cli.codes import MEANING, ExitCode
from tests.cli.conftest import Cli


def commands(group: TyperGroup, *path: str) -> list[str]:
    """Return every command below a group that does something by itself, by its words."""
    found = [" ".join(path)] if path and group.callback else []
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found += commands(command, *path, name)
        else:
            found.append(" ".join((*path, name)))
    return found


def every_command() -> list[str]:
    root = main.command()
    return [command for name in root.commands for command in _below(root, name)]


def _below(root: TyperGroup, name: str) -> list[str]:
    command = root.commands[name]
    return commands(command, name) if isinstance(command, TyperGroup) else [name]


def test_every_way_to_act_and_look_is_a_command() -> None:
    assert {
        "payouts send",
        "payouts show",
        "payouts list",
        "transfers send",
        "transfers show",
        "transfers list",
        "approve",
        "deny",
        "cancel",
        "resolve",
        "watch",
        "pause",
        "resume",
        "rails",
        "limits set",
        "limits end",
        "limits list",
        "people disable",
        "accounts",
        "accounts list",
        "accounts open",
        "cases list",
        "cases show",
        "cases assign",
        "cases resolve",
        "events list",
        "events redrive",
        "sweep",
        "no-send show",
        "no-send leave",
        "books check",
        "books rounds",
        "books export",
        "exit-codes",
    } == set(every_command())


@pytest.mark.parametrize("command", every_command())
def test_every_command_shows_an_example_of_itself_with_options_that_exist(
    cli: Cli, command: str
) -> None:
    page = cli.here(*command.split(), "--help")
    assert page.code == ExitCode.OK
    told = page.out.partition("Examples")[2].replace("\\", "").replace("\n     ", " ")
    examples = [line.strip() for line in told.splitlines() if line.strip()]
    assert examples
    for example in examples:
        words = shlex.split(re.split(r"   as the |\||<", example)[0])
        assert " ".join(words).startswith(f"bursar {command}"), example
        for word in words:
            assert not word.startswith("--") or re.search(rf"│[ *]+{word} ", page.out), word
    assert "--json" in page.out
    assert "<bool>" not in page.out, "a flag takes no value"


def test_the_help_fits_a_terminal_of_80_columns(cli: Cli) -> None:
    for command in ("", *every_command()):
        page = cli.here(*command.split(), "--help").out
        assert max(map(len, page.splitlines())) <= 80
        told = page.partition("Examples")[2].splitlines()
        assert all(line.startswith(" ") for line in told if line), "an example was broken"


def test_no_command_and_no_subcommand_show_the_help(cli: Cli) -> None:
    assert "Usage: bursar" in cli().out
    assert "Usage: bursar payouts" in cli("payouts").out


def test_the_exit_codes_are_told_for_people_and_machines(cli: Cli) -> None:
    told = cli("exit-codes", "--json").json
    assert {one["code"]: one["meaning"] for one in told} == {
        int(code): meaning for code, meaning in MEANING.items()
    }
    assert "130" in cli.here("exit-codes").out
    assert "bursar exit-codes" in cli.here("--help").out


def test_the_version_is_told(cli: Cli) -> None:
    assert re.fullmatch(r"bursar \d+\.\d+\.\d+\n", cli("--version").out)
