"""Every command has help with an example, and a section in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from sleuth.cli.app import app

GROUP = typer.main.get_command(app)
COMMANDS = sorted(name for name, command in GROUP.commands.items() if not command.hidden)  # type: ignore[attr-defined]


def test_the_commands_that_exist() -> None:
    assert (
        sorted(
            [
                "demo",
                "index",
                "search",
                "inspect",
                "delete",
                "compact",
                "retrieve",
                "fuse",
                "evaluate",
                "doctor",
                "models",
                "rerank",
                "diff",
                "prompt",
                "cache",
            ]
        )
        == COMMANDS
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help_with_an_example(name: str) -> None:
    command = GROUP.commands[name]  # type: ignore[attr-defined]
    assert f"sleuth {name}" in command.help, name
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_its_options_are_documented(name: str, root: Path) -> None:
    text = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    section = re.search(rf"^## sleuth {name}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/commands.md has no section '## sleuth {name}'"
    for parameter in GROUP.commands[name].params:  # type: ignore[attr-defined]
        for option in () if getattr(parameter, "hidden", False) else parameter.opts:
            if option.startswith("--") and option != "--help":
                assert option in section[1], f"{name}: {option} is not documented"
