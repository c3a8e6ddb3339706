"""A saved query in words, as JSON and as a line of a list: what it asks, what its rows say, where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.cli import output
from trailkeep.hostile import one_line
from trailkeep.queries import questions
from trailkeep.queries.attack import techniques
from trailkeep.queries.leading import arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trailkeep.queries import Parameter, SavedQuery

ANSWERS = {
    "yes": "the trail answers it",
    "partly": "the trail answers a part of it",
    "no": "the trail cannot answer it: the rows say why, and what else to look at",
}
"""What `answer` means, in words."""

_MARKS = {"partly": " [answered in part]", "no": " [cannot be answered: says why]"}


def as_row(saved: SavedQuery) -> tuple[str, str, str, str]:
    """The query in the list: its name, its question, its severity, its title and what has to be given."""
    question = "-" if saved.question is None else str(saved.question)
    title = f"{one_line(saved.title)}{_MARKS.get(saved.answer, '')}{_required(saved)}"
    return saved.name, question, saved.severity or "-", title


def as_json(saved: SavedQuery) -> dict[str, Any]:
    """All that the front matter says, as JSON values."""
    return {
        "name": saved.name,
        "stage": saved.stage,
        "path": str(saved.path),
        "title": saved.title,
        "description": saved.description,
        "question": saved.question,
        "answer": saved.answer,
        "attack": list(saved.attack),
        "severity": saved.severity,
        "alert": saved.alert,
        "false_positives": list(saved.false_positives),
        "blind_spots": list(saved.blind_spots),
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "description": parameter.description,
                "default": _default(parameter),
                "required": parameter.required,
            }
            for parameter in saved.parameters.values()
        ],
        "columns": [{"name": name, "description": meaning} for name, meaning in saved.columns.items()],
        "finding": {"summary": saved.finding.summary, "key": list(saved.finding.key)} if saved.finding else None,
        "next": [
            {
                "query": each.query,
                "why": each.why,
                "parameters": dict(each.parameters),
                "command": f"trailkeep query {arguments(each)}",
            }
            for each in saved.next
        ],
    }


def as_text(saved: SavedQuery) -> Iterator[str]:
    """What an analyst wants to know before running it, a line each; the SQL is not among them."""
    yield f"{saved.name}: {one_line(saved.title)}"
    if saved.description:
        yield ""
        yield from saved.description.splitlines()
    yield ""
    yield from output.columns(list(_facts(saved)))
    yield from _section("Parameters", _parameters(saved))
    yield from _section("Columns", saved.columns.items())
    yield from _bullets("Looks like it and is none", saved.false_positives)
    yield from _bullets("Blind spots", saved.blind_spots)
    if saved.next:
        yield ""
        yield "Next"
        for each in saved.next:
            yield f"  {one_line(each.why)}"
            yield f"    trailkeep query {one_line(arguments(each))}"


def _facts(saved: SavedQuery) -> Iterator[tuple[str, str]]:
    if saved.question is not None:
        yield f"Question {saved.question}", f"{questions()[saved.question].text} ({ANSWERS[saved.answer]})"
    elif saved.answer != "yes":
        yield "Answer", ANSWERS[saved.answer]
    if saved.severity is not None:
        yield "Severity", saved.severity
    if saved.finding is not None:
        yield "Finding", one_line(saved.finding.summary)
    if saved.attack:
        known = techniques()
        yield "ATT&CK", ", ".join(f"{each} {known[each].name}" if each in known else each for each in saved.attack)
    if saved.alert is not None:
        yield "Scaleway's alert", saved.alert
    yield "File", one_line(str(saved.path))


def _parameters(saved: SavedQuery) -> Iterator[tuple[str, str, str, str]]:
    for parameter in saved.parameters.values():
        default = "required" if parameter.required else one_line(_shown(_default(parameter)))
        yield parameter.name, parameter.type, default, one_line(parameter.description)


def _section(heading: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    found = [tuple(map(one_line, row)) for row in rows]
    if found:
        yield ""
        yield heading
        yield from (f"  {line}" for line in output.columns(found))


def _bullets(heading: str, texts: Iterable[str]) -> Iterator[str]:
    found = [one_line(" ".join(text.split())) for text in texts]
    if found:
        yield ""
        yield heading
        yield from (f"  * {text}" for text in found)


def _required(saved: SavedQuery) -> str:
    """What must be given, for the list."""
    required = [parameter.name for parameter in saved.parameters.values() if parameter.required]
    return f" (-p {' -p '.join(f'{name}=...' for name in required)})" if required else ""


def _shown(default: Any) -> str:
    if default is None:
        return "-"
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)


def _default(parameter: Parameter) -> Any:
    """A default as JSON has it: TOML has dates and times besides."""
    default = parameter.default
    if isinstance(default, list):
        return [item if isinstance(item, str | int | float | bool) else str(item) for item in default]
    return default if default is None or isinstance(default, str | int | float | bool) else str(default)
