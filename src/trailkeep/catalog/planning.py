"""What statements read in common, found by having the engine plan them over empty tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.catalog.addresses import create_functions
from trailkeep.catalog.building import Building
from trailkeep.catalog.connection import connect
from trailkeep.catalog.shared import plan_scan
from trailkeep.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import pyarrow as pa

    from trailkeep.catalog.chosen import Needs
    from trailkeep.catalog.shared import Listener, SharedScan
    from trailkeep.store import Archive
    from trailkeep.timespan import Span


def plan_shared(
    archive: Archive,
    needs: Needs,
    statements: Sequence[tuple[str, Mapping[str, Any]]],
    span: Span,
    *,
    extra: Mapping[str, pa.Table],
    listener: Listener,
) -> SharedScan:
    """What of the rows in `span` these statements, which need no more than `needs`, read in common.

    `extra` are the empty tables that `open_catalog` is given full.
    """
    connection = connect()
    try:
        connection.execute("SET enable_external_access = false")
        building = Building(archive, Ledger(archive.archive_id), needs, None, planned_only=True)
        building.place()
        building.build(connection, extra, None)
        if any(name.startswith("ip_") for name in needs.functions):
            create_functions(connection, needs.functions, ())
        return plan_scan(connection, statements, span, listener)
    finally:
        connection.close()
