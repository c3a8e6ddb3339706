"""Reading guard_corpus.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "guard_corpus.txt"


@dataclass(frozen=True)
class Case:
    line: int
    accept: bool
    text: str

    def sql(self, **places: str) -> str:
        """The statement, with the places of an archive put in."""
        sql = self.text.replace(r"\n", "\n").replace(r"\0", "\0").replace(r"\s", " ")
        for name, place in places.items():
            sql = sql.replace(f"{{{name}}}", place)
        return _expanded(sql)


def _expanded(sql: str) -> str:
    while (at := sql.find("REPEAT(")) >= 0:
        number, _, rest = sql[at + len("REPEAT(") :].partition(", ")
        # The text ends at the last bracket of a run: it may hold brackets itself.
        end = _end_of(rest)
        sql = sql[:at] + rest[:end] * int(number) + rest[end + 1 :]
    return sql


def _end_of(rest: str) -> int:
    end = rest.index(")")
    while rest[end + 1 : end + 2] == ")":
        end += 1
    return end


def cases() -> list[Case]:
    """Every pair of the file."""
    found = []
    for number, line in enumerate(FILE.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        verdict, _, text = line.partition("  ")
        assert verdict in {"accept", "refuse"}, f"{FILE}:{number}: {verdict!r}"
        found.append(Case(number, verdict == "accept", text.strip()))
    return found
