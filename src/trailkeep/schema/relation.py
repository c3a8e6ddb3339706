"""One table or view as SQL sees it, and its columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlColumn:
    """One column as SQL sees it."""

    name: str
    type: str
    """As ``DESCRIBE`` says it."""
    description: str
    path: str | None = None
    """Where the value stands in the event's JSON; None where it is not one value of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One table or view as SQL sees it."""

    name: str
    description: str
    columns: tuple[SqlColumn, ...]
    stored: bool
    """Whether its rows are Parquet files of the archive; else they are made when the archive is opened."""


def column(name: str, kind: str, description: str, path: str | None = None) -> SqlColumn:
    """One column."""
    return SqlColumn(name=name, type=kind, description=description, path=path)


def view(name: str, description: str, *columns: SqlColumn) -> Relation:
    """What is made when the archive is opened."""
    return Relation(name=name, description=description, columns=columns, stored=False)
