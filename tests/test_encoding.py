"""How segments are written: the same bytes for the same rows, nothing lost, and a footer that tells no texts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_archive import demo_archive
from trailkeep import schema
from trailkeep.store.encoding import ROW_GROUP_ROWS, leaves, parquet_options
from written import START, content_of, some_rows

TABLE = schema.API_EVENTS
EFFORTS = pytest.mark.parametrize("lasting", [False, True])


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return some_rows(ROW_GROUP_ROWS + 500)


def opened(content: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)


def columns_of(content: bytes) -> dict[str, Any]:
    """What the first row group says of each column, by its path."""
    group = opened(content).metadata.row_group(0)
    return {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}


def footer_of(content: bytes) -> bytes:
    size = int.from_bytes(content[-8:-4], "little")
    return content[-8 - size : -8]


@EFFORTS
def test_the_same_rows_give_the_same_bytes_however_they_lie_in_memory(rows: pa.Table, lasting: bool) -> None:
    content = content_of(TABLE, rows, lasting=lasting)
    pieces = pa.concat_tables([rows.slice(start, 777) for start in range(0, rows.num_rows, 777)])
    assert content_of(TABLE, rows.combine_chunks(), lasting=lasting) == content
    assert content_of(TABLE, pieces.combine_chunks(), lasting=lasting) == content
    assert opened(content).read().equals(rows)


def test_what_lasts_is_smaller_and_holds_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    files = sorted((demo_archive(tmp_path_factory).path / TABLE.name).rglob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])
    quick, lasting = (content_of(TABLE, rows, lasting=each) for each in (False, True))
    assert len(lasting) < 0.98 * len(quick)
    assert opened(lasting).read().equals(opened(quick).read())


@EFFORTS
@pytest.mark.parametrize("table", schema.STORED_TABLES.values(), ids=lambda table: table.name)
def test_every_table_can_be_written_each_of_its_columns_named_once(table: schema.Table, lasting: bool) -> None:
    options = parquet_options(table, lasting=lasting)
    paths = [path for path, _kind in leaves(table.arrow_schema)]
    assert sorted([*options["use_dictionary"], *options["column_encoding"]]) == sorted(paths)
    assert sorted(options["compression_level"]) == sorted(paths)
    content = content_of(table, table.empty(), lasting=lasting)
    written = opened(content).schema_arrow
    assert written.equals(table.arrow_schema)
    assert [field.metadata for field in written] == [field.metadata for field in table.arrow_schema]
    assert written.metadata == table.arrow_schema.metadata
    assert [column.path for column in opened(content).schema] == paths


@EFFORTS
def test_columns_are_encoded_as_decided(rows: pa.Table, lasting: bool) -> None:
    columns = columns_of(content_of(TABLE, rows, lasting=lasting))
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert set(columns["raw"].encodings) == {"PLAIN", "RLE"}
    assert set(columns["id"].encodings) == set(columns["request_id"].encodings) == {"DELTA_LENGTH_BYTE_ARRAY", "RLE"}
    for path in ("method_name", "source_ip", "resources.list.element.name", "resources.list.element.info"):
        assert "RLE_DICTIONARY" in columns[path].encodings, path
    assert {encoding for column in columns.values() for encoding in column.encodings} <= {
        "PLAIN", "RLE", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY",
    }  # fmt: skip


@EFFORTS
def test_the_footer_has_what_rules_row_groups_out_and_no_text_of_an_event(lasting: bool) -> None:
    secret = "a text of an event"
    row = {
        "id": "i", "recorded_at": START, "ledger_seq": 1, "raw": f"raw {secret}", "request_body": f"body {secret}",
        "request_id": f"request {secret}", "resources": [{"id": secret, "name": secret, "info": secret}],
        "source_ip": "192.0.2.1",
    }  # fmt: skip
    content = content_of(TABLE, pa.Table.from_pylist([row], schema=TABLE.arrow_schema), lasting=lasting)
    assert secret.encode() not in footer_of(content)
    columns = columns_of(content)
    for name in ("id", "recorded_at", "source_ip", "method_name", "principal_id", "ledger_seq"):
        assert columns[name].statistics is not None, name
    assert columns["source_ip"].statistics.min == "192.0.2.1"


def test_row_groups_follow_each_other_and_a_span_leaves_the_others_out(rows: pa.Table) -> None:
    metadata = opened(content_of(TABLE, rows, lasting=True)).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [16_384, 500]
    at = TABLE.arrow_schema.names.index("recorded_at")
    extents = [metadata.row_group(number).column(at).statistics for number in range(2)]
    assert extents[0].max <= extents[1].min
    sorting = metadata.row_group(0).sorting_columns
    assert [TABLE.arrow_schema.names[each.column_index] for each in sorting] == list(TABLE.order)


TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
RESOURCE = st.fixed_dictionaries({"id": TEXTS, "name": TEXTS, "info": TEXTS})


@given(
    st.lists(st.tuples(TEXTS, TEXTS, st.none() | st.lists(RESOURCE, max_size=3)), min_size=1, max_size=20),
    st.booleans(),
)
def test_any_rows_come_back_from_two_readers(
    drawn: list[tuple[str | None, str | None, list[dict[str, str | None]] | None]], lasting: bool
) -> None:
    values = [
        {
            "id": text or "",
            "recorded_at": START + timedelta(seconds=number),
            "user_agent": text,
            "request_id": other,
            "request_body": other,
            "resources": resources,
            "ledger_seq": number,
            "raw": other or "",
        }
        for number, (text, other, resources) in enumerate(drawn)
    ]
    rows = pa.Table.from_pylist(values, schema=TABLE.arrow_schema)
    read = opened(content_of(TABLE, rows, lasting=lasting)).read()
    assert read.equals(rows)
    assert read["recorded_at"][0].as_py() == datetime(2026, 3, 1)  # noqa: DTZ001


@EFFORTS
def test_the_engine_reads_them_as_they_were(rows: pa.Table, lasting: bool, tmp_path: Any) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content_of(TABLE, rows, lasting=lasting))
    with duckdb.connect() as connection:
        read = connection.sql("FROM read_parquet($path) ORDER BY recorded_at, id", params={"path": str(path)})
        assert read.to_arrow_table().cast(rows.schema).to_pylist() == rows.to_pylist()
