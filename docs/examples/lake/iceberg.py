"""Register an archive's files in Iceberg, where they lie: `trailkeep connect --format json | python iceberg.py WAREHOUSE`.

Needs `pip install "pyiceberg[pyarrow,sql-sqlite]"` and nothing of Trailkeep. WAREHOUSE is a folder for the catalog and
Iceberg's own files; no Parquet file is copied, changed or moved there. Run it again after a sync or a compaction: one new
snapshot takes up the new files and lets go of those that are gone.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.table import Table
from pyiceberg.typedef import Record


def open_catalog(warehouse: Path) -> Catalog:
    """A catalog in a file beside its warehouse; yours may be a REST catalog, Glue, Hive, ..."""
    warehouse.mkdir(parents=True, exist_ok=True)
    place = warehouse.resolve()
    catalog = SqlCatalog("trailkeep", uri=f"sqlite:///{place}/catalog.db", warehouse=f"file://{place}")
    catalog.create_namespace_if_not_exists("trailkeep")
    return catalog


def open_table(catalog: Catalog, name: str, file: dict) -> Table:
    """The table: the columns of its files, and those that stand in the path as its partitions."""
    identifier = f"trailkeep.{name}"
    if catalog.table_exists(identifier):
        return catalog.load_table(identifier)
    columns = pq.read_schema(file["path"])
    keys = [pa.field(key, pa.string()) for key in file["partition"]]
    table = catalog.create_table(identifier, pa.schema([*columns, *keys]))
    with table.update_spec() as spec:
        for key in file["partition"]:
            spec.add_identity(key)
    # The files have no field ids of Iceberg's; columns are found by their names.
    mapping = table.schema().name_mapping.model_dump_json()
    with table.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": mapping})
    return table


def register(table: Table, files: list[dict]) -> None:
    """Make these files the table's, in one snapshot.

    `Table.add_files` would do but for the keys: it looks for them in the file, does not find them, and writes null.
    """
    wanted = {f"file://{file['path']}": file for file in files}
    present = {task.file.file_path: task.file for task in table.scan().plan_files()}
    if wanted.keys() == present.keys():
        return
    with table.transaction() as transaction, transaction.update_snapshot().overwrite() as snapshot:
        for path in present.keys() - wanted.keys():
            snapshot.delete_data_file(present[path])
        for path in sorted(wanted.keys() - present.keys()):
            added = parquet_file_to_data_file(table.io, transaction.table_metadata, path)
            keys = [field.name for field in table.spec().fields]
            added[3] = Record(*(wanted[path]["partition"][key] for key in keys))  # its partition
            snapshot.append_data_file(added)


def main() -> None:
    """Register what `trailkeep connect --format json` lists."""
    catalog = open_catalog(Path(sys.argv[1]))
    for name, listed in json.load(sys.stdin)["tables"].items():
        if listed["files"]:
            table = open_table(catalog, name, listed["files"][0])
            register(table, listed["files"])
            print(f"trailkeep.{name}: {len(listed['files'])} files")


if __name__ == "__main__":
    main()
