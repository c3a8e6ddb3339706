"""Planning a statement over stand-ins for the event tables, so that it is known which of their files it needs."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import views
from trailkeep.catalog.conditions import LOGIN_USER, RESOURCE, RESOURCE_IDS
from trailkeep.catalog.present import FUNCTIONS, NAMED, may_lose_its_zone
from trailkeep.catalog.pushed import Stand, conditions_of
from trailkeep.catalog.quoting import name_of, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import duckdb

    from trailkeep.catalog.conditions import Conditions

_SKIPPED = (
    # What is known of empty tables would leave nothing of most plans.
    "statistics_propagation, compressed_materialization, "
    # These read a table a second time without its conditions.
    "late_materialization, top_n_window_elimination, window_self_join, common_subplan, "
    # And these take time, and push nothing down.
    "join_order, build_side_probe_side, reorder_filter, column_lifetime, join_filter_pushdown, row_group_pruner"
)
"""The engine's optimizers that are left out."""

_ASKS_SETTINGS = "current_setting"
"""What a statement tells apart planning and running by: settings are others meanwhile, and the engine takes their
values for constants."""

CHANGED_VIEWS = frozenset({"parts.every_event", "main.events", "main.event_resources", "main.logins"})
"""The views that have another text meanwhile."""

_ADDED = {RESOURCE_IDS: "VARCHAR[]", RESOURCE: schema.engine_type(schema.RESOURCE), "position": "BIGINT"}
"""What the stand-ins have besides the tables' columns, and the types,"""

_ADDED_TO = {schema.AUTHENTICATION_EVENTS.name: {LOGIN_USER: "VARCHAR"}}
"""and what some of them have besides that."""

_USER = "login_user(resources)"
_EVERY = "resources, raw"
_IDS = "list_transform(e.resources, lambda r: r.id)"
_APART = 'unnest(resources) AS resource, unnest(range(1, len(resources) + 1)) AS "position"'
_WITHOUT = "EXCLUDE (id, resources, raw"
"""The passages of the views that are changed: what they take of each table, the ids, and the lists taken apart."""


class Rehearsal:
    """Empty tables in place of the event tables, with names for their columns that nobody can guess.

    The ids of an event's resources, each resource, and the user of a login are columns of their own here: the engine
    then tells conditions on them, which it does not push through what takes the lists apart.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Sequence[schema.Table]) -> None:
        self.tables = tables
        """Those that are stood in for."""
        self._connection = connection
        self._secret = f"s{secrets.token_hex(8)}_"
        self._stands = {table.name: self._stand(table) for table in tables}

    def begin(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Create the stand-ins; gives the views' texts as they are to be until the end."""
        for table in self.tables:
            stand = self._stands[table.name]
            types = {**_types(table), **_added(table)}
            columns = ", ".join(f"{name} {types[column]}" for name, column in stand.columns.items())
            self._connection.execute(f"CREATE TABLE {stand.name} ({columns})")
        return {name: self._changed(name, text) for name, text in texts.items()}

    def selection(self, table: schema.Table, *more: str) -> str:
        """The rows of the stand-in under the table's own names, and these columns more."""
        stand = self._stands[table.name]
        wanted = {*_types(table), *more}
        selected = ", ".join(
            f"{name} AS {name_of(column)}" for name, column in stand.columns.items() if column in wanted
        )
        return f"SELECT {selected} FROM {stand.name}"  # noqa: S608 - our own names

    def conditions(self, sql: str, parameters: Mapping[str, Any]) -> Conditions:
        """What the statement asks of each of the tables; nothing where the engine cannot plan it.

        Begins a transaction, and leaves it open: `now()` is the same moment until it ends.
        """
        import duckdb

        connection = self._connection
        if _ASKS_SETTINGS in sql.lower():
            connection.execute("BEGIN")
            return {}
        connection.execute(f"SET disabled_optimizers = {quote(_SKIPPED)}")
        connection.execute("BEGIN")
        zoneless = NAMED.search(sql) is not None and self._may_lose_its_zone(sql)
        try:
            for name in FUNCTIONS if zoneless else ():
                connection.execute(f"CREATE MACRO {name}() AS current_localtimestamp()")
            row = connection.execute(f"EXPLAIN (FORMAT json) {sql}", dict(parameters) or None).fetchone()
            plan = str(row[1]) if row else "[]"
            for name in FUNCTIONS if zoneless else ():
                connection.execute(f"DROP MACRO {name}")
        except duckdb.Error:
            # It fails again where it is run, and says why then.
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
            plan = '[{"name": "?"}]'
        connection.execute("RESET disabled_optimizers")
        try:
            return conditions_of(plan, list(self._stands.values()))
        except RecursionError:
            # A chain of hundreds of common table expressions is a plan as deep.
            return {}

    def _may_lose_its_zone(self, sql: str) -> bool:
        row = self._connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchone()
        return row is not None and may_lose_its_zone(str(row[0]))

    def _stand(self, table: schema.Table) -> Stand:
        return Stand(
            table=table.name,
            name=f"parts.{self._secret}{table.name}",
            columns={f"{self._secret}{column}": column for column in (*_types(table), *_added(table))},
            time=table.time,
        )

    def _changed(self, name: str, text: str) -> str:
        if name == "parts.every_event":
            for table in self.tables:
                text = self._with_added(table, text)
            text = text.replace(_USER, LOGIN_USER)
            return text.replace(_EVERY, f"{_EVERY}, {', '.join(map(name_of, _ADDED))}")
        if name == "main.logins":
            return self._with_added(schema.AUTHENTICATION_EVENTS, text).replace(_USER, LOGIN_USER)
        if name == "main.events":
            return text.replace(_IDS, f"e.{RESOURCE_IDS}")
        if name == "main.event_resources":
            return text.replace(_APART, f'{RESOURCE}, "position"').replace(_WITHOUT, f"{_WITHOUT}, {RESOURCE_IDS}")
        return text

    def _with_added(self, table: schema.Table, text: str) -> str:
        """The text of a view with the stand-in and all its columns in place of a table."""
        return text.replace(f"FROM main.{table.name}", f"FROM ({self.selection(table, *_added(table))})")


def _added(table: schema.Table) -> dict[str, str]:
    return _ADDED | _ADDED_TO.get(table.name, {})


def _types(table: schema.Table) -> dict[str, str]:
    typed = {column.name: schema.engine_type(column.type) for column in table.columns}
    return typed | dict.fromkeys(views.partition_columns(table), "VARCHAR")
