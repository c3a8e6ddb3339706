"""The tables of the archive and what SQL sees of them: names, types, meanings and JSON paths, written here only."""

from trailkeep.schema.directory import DIRECTORY, DIRECTORY_TABLES, STORED_TABLES, directory_table
from trailkeep.schema.tables import (
    API_EVENTS,
    AUTHENTICATION_EVENTS,
    EVENT_TABLES,
    FORMAT,
    IAM_LOGS,
    PARTITION_KEYS,
    QUARANTINE,
    REQUESTS,
    RESOURCE,
    REVISIONS,
    SYSTEM_EVENTS,
    TABLES,
    TIMESTAMP,
    Column,
    Table,
    engine_type,
)

__all__ = [
    "API_EVENTS",
    "AUTHENTICATION_EVENTS",
    "DIRECTORY",
    "DIRECTORY_TABLES",
    "EVENT_TABLES",
    "FORMAT",
    "IAM_LOGS",
    "PARTITION_KEYS",
    "QUARANTINE",
    "REQUESTS",
    "RESOURCE",
    "REVISIONS",
    "STORED_TABLES",
    "SYSTEM_EVENTS",
    "TABLES",
    "TIMESTAMP",
    "Column",
    "Table",
    "directory_table",
    "engine_type",
]
