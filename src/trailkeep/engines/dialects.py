"""The dialects that a query can be printed in."""

from __future__ import annotations

from enum import StrEnum


class Dialect(StrEnum):
    """An engine's SQL, by sqlglot's name of it."""

    DUCKDB = "duckdb"
    SPARK = "spark"
    TRINO = "trino"
    BIGQUERY = "bigquery"
    CLICKHOUSE = "clickhouse"
    SNOWFLAKE = "snowflake"
