"""How much of the memory that a query may use the engine is told of: the process needs some beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MIB = 1024 * 1024

MOST_BESIDE = 256 * MIB
"""What the engine is told of less than it may use, at the most. What the process takes besides does not grow with the
limit: the interpreter, the libraries, and what the engine does not count, such as pages of Parquet being decoded
(measured: up to 200 MiB)."""

LEAST_SHARED = 512 * MIB
"""Up to here the engine is told all of it: less would keep questions from being answered."""

_UNITS = {"KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB, "TiB": 1024 * 1024 * MIB}
_TOLD = re.compile(r"([0-9]+(?:\.[0-9]+)?) (\w+)")


def leave_room(connection: duckdb.DuckDBPyConnection) -> None:
    """Lower the memory limit that is set on the connection, so that the process as a whole stays within it."""
    [[told]] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    match = _TOLD.fullmatch(str(told))
    if match is None or match[2] not in _UNITS:
        # Bytes, or as good as no limit.
        return
    size = int(float(match[1]) * _UNITS[match[2]])
    if size > LEAST_SHARED:
        beside = min(size // 4, MOST_BESIDE)
        connection.execute(f"SET memory_limit = '{max(size - beside, LEAST_SHARED) // MIB}MiB'")
