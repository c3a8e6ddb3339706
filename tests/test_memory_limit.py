"""How much of a query's memory the engine is told of."""

from __future__ import annotations

import duckdb
import pytest

from trailkeep.catalog.memory import MIB, leave_room


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("1GiB", "768.0 MiB"),
        ("4GiB", "3.7 GiB"),
        ("1TiB", "1023.7 GiB"),
        # A quarter of it would leave less than the engine is always told of.
        ("600MiB", "512.0 MiB"),
        ("512MiB", "512.0 MiB"),
        ("300MiB", "300.0 MiB"),
        ("none", "16383.9 PiB"),
    ],
)
def test_the_engine_is_told_of_less_than_the_process_may_use(setting: str, told: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{setting}'")
        leave_room(connection)
        assert connection.execute("SELECT current_setting('memory_limit')").fetchall() == [(told,)]


@pytest.mark.parametrize("size", range(513, 3000, 331))
def test_what_is_left_beside_the_engine_grows_with_the_limit_up_to_a_bound(size: int) -> None:
    def limit_of(mib: int) -> int:
        with duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{mib}MiB'")
            leave_room(connection)
            row = connection.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchone()
            return int(row[0]) // MIB if row else 0

    # The engine tells a limit in tenths of a GiB, twice here.
    assert 0 < size - limit_of(size) <= 256 + 2 * 103
    assert limit_of(size) <= limit_of(size + 331)
