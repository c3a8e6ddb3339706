"""Bytes an event on disk: the sweep that docs/adr/0012 was decided by, on the story's events and on recorded shapes.

Prints what the events themselves demand (random digits, which no compression shrinks), every column in every encoding,
and whole files in many ways with the cost of writing and reading them. Times are CPU time, the best of the rounds, of
one thread; compare them with each other only.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import re
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))

from archives import story_events
from trailkeep import schema
from trailkeep.events import identify, to_rows
from trailkeep.store.encoding import ROW_GROUP_ROWS, leaves, parquet_options

TABLE = schema.API_EVENTS
RECORDINGS = Path(__file__).parents[1] / "tests" / "fixtures" / "recordings"
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-([47])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
RANDOM_BITS = {b"4": 122, b"7": 74}
"""What a UUID of each version holds that nothing foretells."""
LEVELS = (1, 3, 6, 9, 12, 15)


def recorded_events(count: int) -> list[bytes]:
    """Events as they were recorded, with other ids, times, people and resources: a small company's, used again."""
    bodies = [json.loads(file.read_bytes()) for file in sorted(RECORDINGS.glob("*.body.json"))]
    shapes = [event for body in bodies for event in body["events"]]
    chance, at = random.Random(7), datetime(2026, 1, 1, tzinfo=UTC)

    def uuid(begin: str = "", version: int = 4) -> str:
        digits = (begin + f"{chance.getrandbits(128):032x}")[:32]
        return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def often(size: int) -> int:
        return int(size * chance.random() ** 2)

    people, projects = [uuid() for _ in range(40)], [uuid() for _ in range(6)]
    addresses = [f"203.0.113.{number}" for number in range(60)]
    made = at - timedelta(days=100)
    things = [
        [(uuid(), f"{made + timedelta(seconds=chance.randrange(8 * 10**6)):%Y-%m-%dT%H:%M:%S}.{number:06d}Z")
         for number in range(700)] for _ in shapes
    ]  # fmt: skip
    events = []
    for _ in range(count):
        at += timedelta(microseconds=chance.randrange(5_000_000))
        number = chance.randrange(len(shapes))
        event = json.loads(json.dumps(shapes[number]))
        moment = f"{at:%Y-%m-%dT%H:%M:%S.%f}"
        seventh = event["id"][14] == "7"
        event["id"] = uuid(f"{int(at.timestamp() * 1000):012x}", 7) if seventh else uuid()
        event["recorded_at"] = moment + (f"{chance.randrange(1000):03d}Z" if seventh else "Z")
        event |= {"request_id": uuid(), "project_id": projects[often(6)], "source_ip": addresses[often(60)]}
        event["principal"]["id"] = people[often(40)]
        thing = event["resources"][0]
        thing["id"], thing["created_at"] = things[number][often(700)]
        thing["updated_at"] = thing["updated_at"] and moment + "Z"
        events.append(json.dumps(event, separators=(",", ":")).encode())
    return events


def table_of(events: list[bytes]) -> pa.Table:
    """The rows of one segment, as a sync has them before it writes."""
    arrivals, rejects = identify(events)
    assert not rejects
    rows = to_rows("api", arrivals)
    seqs = pa.array([1 + number // 5000 for number in range(rows.num_rows)], pa.int64())
    rows = rows.add_column(TABLE.arrow_schema.names.index("ledger_seq"), "ledger_seq", seqs)
    rows = rows.select(TABLE.arrow_schema.names).cast(TABLE.arrow_schema)
    return rows.sort_by([(name, "ascending") for name in TABLE.order]).combine_chunks()


def floor(events: list[bytes], rows: pa.Table) -> tuple[float, float]:
    """Bytes an event that no encoding saves, in ``raw`` and in the columns: ids when they come first, and the times."""
    ids: dict[bytes, bytes] = {}
    for event in events:
        ids.update((found[0], found[1]) for found in UUID.finditer(event))
    times = rows["recorded_at"].cast(pa.int64()).to_pylist()
    clock = sum(math.log2(1 + later - earlier) for earlier, later in pairwise(times))
    own = {value.encode() for name in ("id", "request_id") for value in rows[name].to_pylist() if value}
    own |= {each["id"].encode() for some in rows["resources"].to_pylist() for each in some or () if each["id"]}

    def bits(wanted: Any) -> float:
        return sum(RANDOM_BITS[version] for value, version in ids.items() if value in wanted)

    return (bits(ids) + clock) / 8 / len(events), (bits(own) + clock) / 8 / len(events)


def write(rows: pa.Table, options: dict[str, Any], group: int = ROW_GROUP_ROWS) -> tuple[bytes, float]:
    """A file's bytes, and the CPU seconds it took."""
    sink = pa.BufferOutputStream()
    began = time.thread_time()
    pq.write_table(rows, sink, row_group_size=group, **options)
    return sink.getvalue().to_pybytes(), time.thread_time() - began


def column_bytes(content: bytes) -> dict[str, int]:
    metadata = pq.ParquetFile(pa.BufferReader(content)).metadata
    sizes: dict[str, int] = {}
    for number in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(number).column(index)
            sizes[chunk.path_in_schema] = sizes.get(chunk.path_in_schema, 0) + chunk.total_compressed_size
    return sizes


def by_column(rows: pa.Table) -> None:
    """Each column, in each encoding that every reader knows, at each level: bytes an event."""
    print(f"\n| column | encoding | {' | '.join(f'zstd {level}' for level in LEVELS)} |")
    print("|---|---|" + "--:|" * len(LEVELS))
    for path, kind in leaves(TABLE.arrow_schema):
        name = path.split(".")[0]
        texts = ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
        for encoding in (*(texts if kind == pa.string() else ("PLAIN", "DELTA_BINARY_PACKED")), "dictionary"):
            sizes = []
            for level in LEVELS:
                if encoding == "dictionary":
                    how: dict[str, Any] = {"use_dictionary": [path]}
                else:
                    how = {"use_dictionary": False, "column_encoding": {path: encoding}}
                how |= {"compression": "zstd", "compression_level": level, "write_statistics": False}
                content, _seconds = write(rows.select([name]), how)
                sizes.append(column_bytes(content)[path] / rows.num_rows)
            print(f"| {path} | {encoding} | {' | '.join(f'{size:.2f}' for size in sizes)} |", flush=True)


def variants() -> list[tuple[str, dict[str, Any], int]]:
    """Whole files: what was before, what is decided, and one thing otherwise each time."""
    quick, lasting = parquet_options(TABLE), parquet_options(TABLE, lasting=True)
    names = TABLE.arrow_schema.names
    before = {
        "compression": "zstd", "compression_level": 3, "write_page_checksum": True,
        "use_dictionary": [name for name in names if name not in {"id", "raw", "request_body", "request_id"}],
    }  # fmt: skip

    def texts(level: int) -> dict[str, Any]:
        return quick | {"compression_level": quick["compression_level"] | {"raw": level, "request_body": level}}

    def encoded(**encodings: str) -> dict[str, Any]:
        return quick | {"column_encoding": quick["column_encoding"] | encodings}

    bloom = {"bloom_filter_options": {name: {"ndv": ROW_GROUP_ROWS, "fpp": 0.01} for name in ("id", "request_id")}}
    found = [
        ("before: level 3, groups of 65,536", before, 65_536),
        ("**sync**: texts at level 1", quick, ROW_GROUP_ROWS),
        ("**closed month**: texts at level 9", lasting, ROW_GROUP_ROWS),
    ]
    found += [(f"texts at level {level}", texts(level), ROW_GROUP_ROWS) for level in (3, 6, 12, 15, 17)]
    found += [(f"sync, groups of {group:,}", quick, group) for group in (4_096, 8_192, 32_768, 65_536, 131_072)]
    found += [
        (f"closed month, pages of {size >> 10} KiB", lasting | {"data_page_size": size}, ROW_GROUP_ROWS)
        for size in (64 << 10, 256 << 10, 4 << 20, 16 << 20)
    ]
    plain = encoded(id="PLAIN", request_id="PLAIN")
    found += [
        ("sync, ids PLAIN", plain, ROW_GROUP_ROWS),
        ("sync, ids DELTA_BYTE_ARRAY", encoded(id="DELTA_BYTE_ARRAY", request_id="DELTA_BYTE_ARRAY"), ROW_GROUP_ROWS),
        ("sync, raw DELTA_LENGTH_BYTE_ARRAY", encoded(raw="DELTA_LENGTH_BYTE_ARRAY"), ROW_GROUP_ROWS),
        ("sync, recorded_at DELTA_BINARY_PACKED", encoded(recorded_at="DELTA_BINARY_PACKED"), ROW_GROUP_ROWS),
        ("sync, statistics of all columns", quick | {"write_statistics": True}, ROW_GROUP_ROWS),
        ("sync, bloom filters of both ids", quick | bloom, ROW_GROUP_ROWS),
        ("sync, pages of version 2", quick | {"data_page_version": "2.0"}, ROW_GROUP_ROWS),
    ]
    return found


def reading(connection: duckdb.DuckDBPyConnection, path: Path, rows: pa.Table) -> list[float]:
    """CPU milliseconds: who called what; one event by its request id, all of it; a text in ``raw``."""
    wanted = rows["request_id"][rows.num_rows // 2].as_py()
    queries = (
        f"SELECT method_name, principal_id, count(*), max(recorded_at) FROM '{path}' GROUP BY ALL",
        f"FROM '{path}' WHERE request_id = '{wanted}'",
        f"SELECT count(*) FROM '{path}' WHERE contains(raw, '{wanted[:13]}')",
    )
    times = []
    for query in queries:
        began = time.process_time()
        connection.sql(query).to_arrow_table()
        times.append((time.process_time() - began) * 1000)
    return times


def whole_files(rows: pa.Table, ndjson: int, gzipped: int, rounds: int) -> None:
    count = rows.num_rows
    print("\n| how | bytes an event | NDJSON / | of gzip | write µs | scan ms | needle ms | text ms | MB a group |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        best: dict[str, list[float]] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for _round in range(rounds):
            for number, (name, options, group) in enumerate(variants()):
                content, seconds = write(rows, options, group)
                path = Path(folder) / f"{number}.parquet"
                path.write_bytes(content)
                times = [seconds / count * 1e6, *reading(connection, path, rows)]
                best[name] = [min(pair) for pair in zip(times, best.get(name, times), strict=True)]
                metadata = pq.read_metadata(path)
                sizes[name] = len(content), metadata.row_group(0).total_byte_size
                path.unlink()
        for name, (size, unpacked) in sizes.items():
            written, *read = best[name]
            print(
                f"| {name} | {size / count:.1f} | {ndjson / size:.2f} | {size / gzipped:.2f} | {written:.1f} | "
                f"{' | '.join(f'{each:.0f}' for each in read)} | {unpacked / 1e6:.0f} |"
            )


def sweep(title: str, events: list[bytes], rounds: int, *, columns: bool) -> None:
    rows = table_of(events)
    ndjson = sum(map(len, events)) + len(events)
    gzipped = len(gzip.compress(b"\n".join(events), 6))
    count = len(events)
    in_raw, in_columns = floor(events, rows)
    size = len(write(rows, parquet_options(TABLE, lasting=True))[0])
    print(
        f"\n## {title}\n\n{count:,} events of {ndjson / count:.0f} bytes each as NDJSON, {gzipped / count:.1f} in gzip."
    )
    print(f"A tenth of the NDJSON is {ndjson / count / 10:.1f} bytes, 0.65 of gzip {gzipped * 0.65 / count:.1f}.")
    both = in_raw + in_columns
    print(
        f"What no encoding saves: {in_raw:.1f} bytes in raw and {in_columns:.1f} in the columns; together {both:.1f},"
        f" which is {both * count / size:.0%} of a closed month's {size / count:.1f}."
    )
    whole_files(rows, ndjson, gzipped, rounds)
    content, _seconds = write(rows, parquet_options(TABLE, lasting=True))
    parts = sorted(column_bytes(content).items(), key=lambda each: -each[1])
    print("\nA closed month by column: " + ", ".join(f"{path} {size / count:.2f}" for path, size in parts) + ".")
    if columns:
        by_column(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--columns", action="store_true", help="every column in every encoding, too")
    parser.add_argument("--ndjson", type=Path, help="events to take instead of the story's")
    given = parser.parse_args()
    events = given.ndjson.read_bytes().splitlines() if given.ndjson else list(story_events(given.events))
    sweep("The story's events", events[: given.events], given.rounds, columns=given.columns)
    sweep("Recorded shapes", recorded_events(given.events), given.rounds, columns=False)


if __name__ == "__main__":
    main()
