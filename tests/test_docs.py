"""What README and docs say is what the program does: commands, options, settings, exit codes, links, saved queries."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from demo_archive import ROOT, DemoArchive, clock, demo_archive, environment, reaching, run
from trailkeep.cli import register_commands
from trailkeep.cli.app import app
from trailkeep.config import SETTINGS
from trailkeep.demo.emulator import Emulator
from trailkeep.demo.serve import serve
from trailkeep.errors import ExitCode
from trailkeep.queries import discover, query_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))]
register_commands()

SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def whole_program() -> Any:
    return typer.main.get_command(app)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its full name, the groups among them."""
    waiting = [("trailkeep", whole_program())]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        waiting += [(f"{name} {each}", below) for each, below in getattr(command, "commands", {}).items()]


class TestReference:
    def test_the_generated_pages_are_as_the_program_says(self) -> None:
        done = subprocess.run(
            [sys.executable, str(DOCS / "generate.py"), "--check"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr

    def test_every_command_and_option_is_documented(self) -> None:
        page = text_of("docs/commands.md")
        for name, command in commands():
            heading = re.search(rf"^#+ {re.escape(name)}\n\n```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
            assert heading, name
            shown = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", heading[1])
            for parameter in command.params:
                if parameter.param_type_name == "option" and not parameter.hidden:
                    assert {*parameter.opts, *parameter.secondary_opts} <= set(shown), f"{name} {parameter.opts}"
            assert {"-h", "--help"} <= set(shown), name

    @pytest.mark.parametrize("name", ["", "sync", "queries list"])
    def test_a_help_block_is_what_help_prints(self, tmp_path: Path, name: str) -> None:
        called = "import sys; sys.argv[0] = 'trailkeep'; from trailkeep.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", called, *name.split(), "--help"],
            cwd=tmp_path,
            env=environment(COLUMNS="120"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0
        block = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        assert f"```text\n{block}\n```" in text_of("docs/commands.md")

    def test_every_setting_is_documented(self) -> None:
        rows = dict(re.findall(r"^\| (\w+) \|(.*)$", text_of("docs/settings.md"), re.MULTILINE))
        assert set(rows) - {"setting"} == {setting.name for setting in SETTINGS}
        for setting in SETTINGS:
            for way in (setting.flag, *setting.environment, setting.toml_key, setting.scw_key):
                assert way is None or f"`{way}`" in rows[setting.name], setting.name

    def test_every_exit_code_is_documented(self) -> None:
        rows = re.findall(r"^\| (\d+) \| (.+) \|$", text_of("docs/commands.md"), re.MULTILINE)
        assert [int(number) for number, _meaning in rows] == [code.value for code in ExitCode]


# What README and docs show to type


@dataclass(frozen=True)
class Shown:
    """A command that a page shows."""

    page: str
    words: tuple[str, ...]
    stdin: str

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(('trailkeep', *self.words))}"


def split_words(line: str) -> list[list[str]]:
    """The words of each command of a shell's line, without comments and without where output goes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if set(word) <= set("|;&"):
            commands.append([])
        elif set(word) <= set("<>"):
            skip = True
        elif skip:
            skip = False
        else:
            commands[-1].append(word)
    return commands


def shown_on(page: Path) -> Iterator[Shown]:
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language in ("console", "sh", "cron", "ini"):
            lines += [line.removeprefix("$ ") for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [span.replace("\n", " ") for span in re.findall(r"`(trailkeep [^`]+)`", prose)]
    for line in lines:
        if not re.search(r"(^|[\s/])trailkeep ", line):
            continue
        stdin = ""
        for words in split_words(line.removeprefix("ExecStart=")):
            while words and re.fullmatch(r"[\d*/]+", words[0]):
                words.pop(0)  # When cron runs it.
            if words and words[0].rpartition("/")[2] == "trailkeep":
                yield Shown(page.relative_to(ROOT).as_posix(), tuple(words[1:]), stdin)
            stdin = " ".join(words[1:]) + "\n" if words[:1] == ["echo"] else ""


SHOWN = [shown for page in PAGES if page.name != "commands.md" for shown in shown_on(page)]

NEEDS_MORE = {
    ("sync", "--watch", "5m"): "does not end by itself",
    ("config", "policy", "--application", "ID"): "ID stands for an id",
    ("config", "policy"): "asks for whom",
    ("verify", "--expect-head", "42:9f86..."): "a head of another archive",
    ("verify", "--expect-head", "42:"): "a head of another archive",
    ("verify", "--signer", "allowed_signers"): "needs the file",
    ("sign", "--key", "~/.ssh/id_ed25519"): "needs the key",
    ("repair", "--from", "DIR"): "DIR stands for a copy",
    ("query", "--replay", "failures.json"): "needs the record that the command above it makes",
    ("query", "--replay", "failures.json", "--output", "again.csv"): "needs it too",
    ("queries", "check"): "takes long; tests/test_queries.py checks every query",
    ("detect",): "ends with 10 where something is new, which depends on what ran before",
    ("detect", "--format", "json"): "the same",
    ("detect", "--severity", "high", "--no-record"): "takes long; tests/test_cli_detect.py runs such",
    ("detect", "--stage", "persistence", "--since", "30d", "--no-record", "--format", "json"): "the same",
    ("--quiet", "detect"): "ends with 10 where something is new, which depends on what ran before",
    ("detect", "--notify"): "needs receivers in the settings",
    ("--quiet", "detect", "--notify"): "needs receivers in the settings",
}
"""Commands that cannot run as they are shown."""

ENDS_WITH: dict[tuple[str, ...], int] = {
    ("detect", "--all", "--stage", "access", "--no-record"): 10,
    (
        *("detect", "--only", "api-key*", "--exclude", "api-keys-created", "--no-record"),
        *("--format", "sarif", "--output", "findings.sarif"),
    ): 10,
}
"""Documented exit codes other than 0."""

TESTED_WITH_ITS_OUTPUTS = "docs/playbook.md"
"""The page whose commands build on each other: tests/test_playbook.py runs them all, and compares what they print."""

TO_RUN = sorted(
    {(shown.words, shown.stdin) for shown in SHOWN if shown.page != TESTED_WITH_ITS_OUTPUTS}
    - {(words, "") for words in NEEDS_MORE}
)


def test_pages_show_commands() -> None:
    pages = {shown.page for shown in SHOWN}
    assert {"README.md", "docs/sql.md", "docs/operations.md", "docs/verify-by-hand.md"} <= pages


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_command_that_is_shown_exists_and_takes_these_options(shown: Shown) -> None:
    command = whole_program()
    context = command.make_context("trailkeep", list(shown.words))
    while getattr(command, "commands", None):
        rest = [*context._protected_args, *context.args]
        if not rest:
            assert command.invoke_without_command, f"{shown}: the command is missing"
            return
        name, *words = rest
        command = command.get_command(context, name)
        assert command is not None, f"{shown}: there is no command {name}"
        context = command.make_context(name, words, parent=context)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with a copy of the demo archive in ``data``, and the settings that reach the API it came from."""

    folder: Path
    settings: dict[str, str]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)


@pytest.fixture(scope="module")
def desk(demo: DemoArchive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(demo.path, folder / "data")
    (folder / "indicators.txt").write_text("203.0.113[.]66  # an indicator\n")
    with serve(Emulator(demo.organization, clock=clock)) as served:
        yield Desk(folder=folder, settings=reaching(served, demo.organization.organization_id))


@pytest.mark.parametrize(("words", "stdin"), TO_RUN, ids=[shlex.join(words) for words, _stdin in TO_RUN])
def test_a_command_that_is_shown_works_as_it_is_shown(desk: Desk, words: tuple[str, ...], stdin: str) -> None:
    done = run(desk.folder, *words, stdin=stdin, **desk.settings)
    assert done.returncode == ENDS_WITH.get(words, 0), done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_run_as_it_is_shown_is_still_shown() -> None:
    assert set(NEEDS_MORE) | set(ENDS_WITH) <= {shown.words for shown in SHOWN}


# Saved queries


class TestSavedQueries:
    def test_the_list_names_them_all(self, tmp_path: Path) -> None:
        done = run(tmp_path, "queries", "list")
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(SHIPPED)


# Links and names


def test_the_first_screen_of_the_readme_says_how_to_begin() -> None:
    screen = "\n".join(text_of("README.md").splitlines()[:24])
    assert "make demo" in screen
    assert "make test" in screen
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    shown = re.findall(r"(?:`|\$ )make ([a-z-]+)", "".join(page.read_text(encoding="utf-8") for page in PAGES))
    assert set(shown) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    readme = text_of("README.md")
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name


def tracked() -> list[Path]:
    """The files of the repository, or all but hidden folders where there is no git."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=60,
        )
        names = listed.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return [path for path in ROOT.glob("[!.]*/**/*") if path.is_file() and "__pycache__" not in path.parts]


def test_no_file_names_a_package_index_or_a_path_of_this_machine() -> None:
    # Brackets, so that the pattern does not find itself.
    index = re.compile(
        rb"index[-]url|find[-]links|pythonhosted[.]org|pypi[.]org|https?://[^\s\"'<>]*/simpl[e]\b", re.IGNORECASE
    )
    places = {str(ROOT), sys.prefix, os.path.realpath(sys.prefix)}
    here = re.compile(b"|".join(re.escape(place.encode()) + rb"(?![\w.-])" for place in places if place.count("/") > 1))
    for path in tracked():
        content = path.read_bytes()
        for found in (index.search(content), here.search(content)):
            assert found is None, f"{path.relative_to(ROOT)}: {found[0]!r}" if found else ""
