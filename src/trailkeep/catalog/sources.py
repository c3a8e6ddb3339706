"""Where tables take their rows from, told so late that what is made of them need not be made anew.

To make a view over files the engine opens them, and it does so again for each view that is made of it, for a statement
that is looked at, and for the one that is run. Here the view of a table reads whatever the text in a variable of its
connection selects. While that is an empty table, views are made and statements looked at for little; once it is another
text the next statement has the rows. Where it is none, a statement fails.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from trailkeep.catalog import views
from trailkeep.catalog.quoting import name_of, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from trailkeep.schema import Table


class Sources:
    """The tables of one engine whose rows are told late, each connection of it its own."""

    def __init__(self, tables: Iterable[Table]) -> None:
        # SQL may ask for a variable by its name: nobody can guess these, and planning and running see the same.
        secret = secrets.token_hex(8)
        self._variables = {table.name: f"rows_{secret}_{number}" for number, table in enumerate(tables)}

    def create(self, connection: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
        """Make the views of tables, in place of those that may be there, all of them empty as yet."""
        chosen = list(tables)
        for table in chosen:
            connection.execute(f"CREATE TABLE {self._empty(table.name)} AS {views.selection_of(table, [])}")
        self.tell(connection, dict.fromkeys(table.name for table in chosen))
        for table in chosen:
            rows = f"query(getvariable({quote(self._variables[table.name])}))"
            connection.execute(f"CREATE OR REPLACE VIEW {views.full_name(table)} AS SELECT * FROM {rows}")  # noqa: S608

    def tell(self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, str | None]) -> None:
        """From now on these are the selections of the tables' rows, by the tables' names; None for no rows."""
        told = [
            f"SET VARIABLE {self._variables[name]} = {quote(text or f'FROM {self._empty(name)}')}"
            for name, text in rows.items()
        ]
        if told:
            connection.execute("; ".join(told))

    def _empty(self, table: str) -> str:
        return f"parts.{name_of(self._variables[table])}"
