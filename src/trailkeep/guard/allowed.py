"""What SQL may name: functions, and tables that are no files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE_FUNCTIONS = frozenset(
    "duckdb_columns duckdb_constraints duckdb_databases duckdb_functions duckdb_keywords duckdb_schemas duckdb_tables "
    "duckdb_types duckdb_views generate_series generate_subscripts histogram histogram_values icu_calendar_names "
    "json_each json_tree pg_timezone_names pragma_show pragma_table_info pragma_version range repeat repeat_row "
    "summary test_all_types unnest".split()
)

FORBIDDEN_FUNCTIONS = frozenset(
    "add_parquet_key checkpoint currval copy_database enable_logging disable_logging force_checkpoint getenv glob "
    "import_database json_execute_serialized_sql json_serialize_plan nextval parquet_scan pg_sleep query query_table "
    "setseed setval sleep_ms sniff_csv sql_auto_complete truncate_duckdb_logs which_secret write_log".split()
)

FORBIDDEN_PREFIXES = ("read_", "parquet_", "duckdb_secret", "enable_", "disable_", "from_substrait", "scan_")

FORBIDDEN_SUFFIXES = ("_scan", "_scan_dumb", "_external_resource", "_external_resource_type", "_checkpoint")

NAMED_BY_TEXT = frozenset("histogram histogram_values pragma_show pragma_table_info".split())
"""Table functions that take the name of a table as text, and open a file where it is the name of one."""

WRITING_WORDS = frozenset(
    "alter analyze attach call checkpoint comment copy create deallocate delete detach drop execute export import "
    "insert install into load merge pragma prepare reset set truncate update use vacuum".split()
)
"""Words that end a PIVOT's chances: its syntax tree cannot be had from the engine."""

_PATH_LIKE = re.compile(r"[/\\:*?\[\]{}~%]|^\.|\.[A-Za-z0-9]+$")

_FILE_EXTENSIONS = frozenset("csv tsv txt json jsonl ndjson parquet gz zst db duckdb sqlite xlsx arrow feather".split())

_ONE_SELECT = "Write one SELECT; the archive cannot be changed from SQL."


def refused(what: str, hint: str = _ONE_SELECT) -> QueryError:
    """The error that refuses a text because of `what`."""
    return QueryError(f"the SQL was refused: {what}", hint=hint)


def allows_function(name: str) -> bool:
    """Whether SQL may call the function `name`, in lower case, if the engine has it."""
    return not (name in FORBIDDEN_FUNCTIONS or name.startswith(FORBIDDEN_PREFIXES) or name.endswith(FORBIDDEN_SUFFIXES))


def check_function(name: str) -> None:
    """Refuse a function, by its name in lower case, that reaches outside."""
    if not allows_function(name):
        raise refused(
            f"the function {name} is not allowed: it reaches outside the archive's tables",
            "Query the archive's tables; `SHOW TABLES` lists them.",
        )


def check_table_name(path: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a table, by the parts of its name and all that it is called, that the engine would take for a file."""
    parts = [part for part in path if part]
    dotted_file = len(parts) > 1 and parts[-1].lower() in _FILE_EXTENSIONS
    for name in names:
        if dotted_file or _PATH_LIKE.search(name):
            raise refused(
                f"{'.'.join(parts) or name!r} names a file, not a table of the archive",
                "Query the archive's tables; `SHOW TABLES` lists them.",
            )
