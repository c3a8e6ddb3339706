"""Writes the generated parts of the documentation: commands.md from --help, settings.md from the list of settings.

``python docs/generate.py`` writes them, ``--check`` exits with 1 where they differ from what they would be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
WIDTH = 98
"""As on a terminal of 100 columns or more."""


def commands() -> str:
    """Every command's help, and the exit codes."""
    import click
    import typer

    from trailkeep.cli.app import app
    from trailkeep.errors import ExitCode

    root: Any = typer.main.get_command(app)
    parts = [
        "# Commands\n",
        "Generated from `--help` by `make docs`. Times are `2026-01-31T12:00:00Z`, `2026-01-31`, or an age such as `90d`,"
        " `12h`, `30m`; UTC.\n",
    ]

    def describe(command: Any, path: str, parent: click.Context | None) -> None:
        context = click.Context(
            command,
            info_name=path.rpartition(" ")[2],
            parent=parent,
            **command.context_settings | {"terminal_width": WIDTH},
        )
        depth = "##" if parent is None or parent.parent is None else "###"
        help_text = command.get_help(context)
        help_text = "\n".join(line.rstrip() for line in help_text.splitlines())
        parts.append(f"{depth} {path}\n\n```text\n{help_text}\n```\n")
        for name in sorted(getattr(command, "commands", {})):
            describe(command.commands[name], f"{path} {name}", context)

    describe(root, "trailkeep", None)
    codes = _member_docs()
    parts.append("## Exit codes\n\n| code | meaning |\n|---|---|")
    parts += [f"| {code.value} | {codes[code.name]} |" for code in ExitCode]
    return "\n".join(parts) + "\n"


def settings() -> str:
    """Every setting, and every way to set it."""
    from trailkeep.config import SETTINGS
    from trailkeep.config.declared import shown

    lines = [
        "# Settings and credentials\n",
        "Generated from the list of settings by `make docs`. A flag wins over the environment, that over `trailkeep.toml`, that"
        " over the scw CLI's config file, that over the default; `trailkeep config show` prints every value with where it came"
        " from.\n",
        "`trailkeep.toml` is the file named by `--config` or `TRAILKEEP_CONFIG`, else the one in the working directory, else"
        " `$XDG_CONFIG_HOME/trailkeep/trailkeep.toml`. The scw CLI's file is `SCW_CONFIG_PATH`, else"
        " `$XDG_CONFIG_HOME/scw/config.yaml`, else `~/.config/scw/config.yaml`; a named profile overlays the file's root field"
        " by field.\n",
        "| setting | meaning | flag | environment | trailkeep.toml | scw config | default |",
        "|---|---|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = shown(setting.default)
        text = ", ".join(map(str, default)) if isinstance(default, list) else "" if default is None else str(default)
        cells = [
            setting.name,
            setting.description,
            _code(setting.flag),
            ", ".join(f"`{name}`" for name in setting.environment),
            _code(setting.toml_key),
            _code(setting.scw_key),
            _code(text.lower() if isinstance(setting.default, bool) else text),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _member_docs() -> dict[str, str]:
    """The docstring under each exit code, which Python does not keep."""
    import ast
    import inspect
    from itertools import pairwise

    from trailkeep import errors

    tree = ast.parse(inspect.getsource(errors.ExitCode))
    body = tree.body[0].body  # type: ignore[attr-defined]
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(following, ast.Expr):
            found[statement.targets[0].id] = following.value.value  # type: ignore[attr-defined]
    return found


GENERATED = {"commands.md": commands, "settings.md": settings}


def main() -> int:
    """Write the files, or check them."""
    stale = []
    for name, make in GENERATED.items():
        path, text = FOLDER / name, make()
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"docs/{', docs/'.join(stale)} differ from the program: run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
