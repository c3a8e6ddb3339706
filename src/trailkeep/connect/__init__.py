"""What another tool needs to read an archive: its live files, and scripts that open exactly these."""

from trailkeep.connect.duckdb_script import duckdb_script
from trailkeep.connect.live import LiveArchive, LiveTable, live_archive
from trailkeep.connect.python_scripts import polars_scan, polars_script, python_script, spark_read, spark_script

__all__ = [
    "LiveArchive",
    "LiveTable",
    "duckdb_script",
    "live_archive",
    "polars_scan",
    "polars_script",
    "python_script",
    "spark_read",
    "spark_script",
]
