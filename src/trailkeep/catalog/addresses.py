"""What SQL can ask about an address: its label as a macro, its country and network as functions of `trailkeep.geo`."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from trailkeep import geo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

IP_LABEL = "ip_label"


@cache
def ip_label() -> str:
    """The statement that creates the macro `ip_label`; it uses ``_ip_number``."""
    # The number is made once for a row: a list of one element gives it a name.
    cases = " ".join(
        f"WHEN _n_ BETWEEN {first}::UHUGEINT AND {last}::UHUGEINT THEN '{label}'"
        for first, last, label in geo.label_ranges()
    )
    return f"CREATE MACRO {IP_LABEL}(ip) AS list_transform([_ip_number(ip)], lambda _n_: CASE {cases} END)[1]"


def create_functions(
    connection: duckdb.DuckDBPyConnection, wanted: Collection[str] | None, mmdb: Sequence[Path]
) -> None:
    """Create those of `geo.FUNCTIONS` that are wanted, all where that is None.

    Without the extra ``geo`` they are macros that give NULL. Raises ConfigError as `geo.Geo` does.
    """
    names = [name for name in geo.FUNCTIONS if wanted is None or name in wanted]
    if not names:
        return
    if not mmdb and not _has_extra():
        for name in names:
            connection.execute(nothing_known(name))
        return
    known = geo.Geo(mmdb)
    for name in names:
        # mypy knows the types of this function as the engine's enumerations only; it takes their names, too.
        make: Any = connection.create_function
        make(name, _function(known, name), ["VARCHAR"], "VARCHAR", type="arrow", null_handling="special")


def nothing_known(name: str) -> str:
    """The statement that creates one of `geo.FUNCTIONS` where nothing is known: NULL for every address."""
    # The address is looked at all the same, so that a name that is not there is an error here, too.
    return f"CREATE MACRO {name}(ip) AS nullif(CAST(ip AS VARCHAR), CAST(ip AS VARCHAR))"


def _has_extra() -> bool:
    return all(find_spec(name) is not None for name in ("iptocc", "numpy"))


def _function(known: geo.Geo, name: str) -> Callable[[pa.Array | pa.ChunkedArray], pa.Array]:
    # The engine evaluates annotations, and Arrow is not loaded with this module.
    return lambda column: _answered(known, name, column)


def _answered(known: geo.Geo, function: str, addresses: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The answers for a column; each address that occurs in it is asked for once."""
    import pyarrow as pa

    column = addresses.combine_chunks() if isinstance(addresses, pa.ChunkedArray) else addresses
    encoded = column.dictionary_encode()
    answers = pa.array(known.answers(function, encoded.dictionary.to_pylist()), pa.string())
    return answers.take(encoded.indices)
