"""An archive copied into object storage, read from there, and brought back whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyarrow import fs

from archives import NOW
from trailkeep import reading as api
from trailkeep.verify import verify_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.store import Archive

server = pytest.importorskip("moto.server", reason="moto[server] comes with `make test-lake`")
pytestmark = pytest.mark.filterwarnings("ignore")

KEY = {"access_key": "test", "secret_key": "test"}
PLACE = "evidence/archive"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An object store on this machine."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "NO_PROXY": "127.0.0.1"}
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def store(endpoint: str) -> Any:
    return fs.S3FileSystem(**KEY, endpoint_override=endpoint, region="fr-par", allow_bucket_creation=True)


@pytest.fixture
def copied(archive: Archive, store: Any) -> Archive:
    """The archive, of which a copy lies in the store."""
    store.create_dir("evidence")
    if store.get_file_info(PLACE).type != fs.FileType.NotFound:
        store.delete_dir(PLACE)
    fs.copy_files(str(archive.path), PLACE, fs.LocalFileSystem(), store)
    return archive


def own_rows(archive: Archive) -> list[dict[str, Any]]:
    with api.Archive(archive.path, now=NOW) as own:
        return own.sql("SELECT id, recorded_at, region, month, user_agent, raw FROM api_events ORDER BY id").rows()


def calls(store: Any) -> Any:
    """All calls, with the keys of their paths."""
    keys = pa.schema([(name, pa.string()) for name in ("organization_id", "region", "month")])
    return ds.dataset(f"{PLACE}/api_events", filesystem=store, partitioning=ds.partitioning(keys, flavor="hive"))


def test_pyarrow_reads_it_there(copied: Archive, store: Any) -> None:
    own = own_rows(copied)
    found = calls(store).to_table(columns=list(own[0])).sort_by("id")
    assert found.to_pylist() == own


def test_duckdb_reads_it_there_by_arrow(copied: Archive, store: Any) -> None:
    """Its own way there is httpfs, an extension that it loads from the network."""
    with duckdb.connect() as connection:
        connection.register("calls", calls(store))
        query = "SELECT id FROM calls WHERE region = 'nl-ams' AND source_ip IS NULL ORDER BY id"
        found = [row[0] for row in connection.sql(query).fetchall()]
    with api.Archive(copied.path, now=NOW) as own:
        assert found == [row["id"] for row in own.sql(query.replace("calls", "api_events")).rows()]


def test_polars_reads_it_there(copied: Archive, endpoint: str) -> None:
    frame = pl.scan_parquet(
        f"s3://{PLACE}/api_events/**/*.parquet",
        hive_partitioning=True,
        try_parse_hive_dates=False,
        storage_options={
            "aws_endpoint_url": endpoint, "aws_access_key_id": "test", "aws_secret_access_key": "test",
            "aws_region": "fr-par", "aws_allow_http": "true",
        },
    )  # fmt: skip
    own = own_rows(copied)
    assert frame.select(list(own[0])).sort("id").collect().to_dicts() == own


def test_what_comes_back_is_the_archive(copied: Archive, store: Any, tmp_path: Path) -> None:
    back = tmp_path / "back"
    fs.copy_files(PLACE, str(back), store, fs.LocalFileSystem())
    report = verify_archive(back)
    assert not report.problems
    assert own_rows(copied) == own_rows(type(copied).open(back))
