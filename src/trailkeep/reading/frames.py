"""Arrow tables as data frames of pandas and Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.errors import QueryError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A pandas frame. Whole numbers and truth values have pandas' nullable types, whether there is a NULL or not.

    Raises UsageError where pandas is not installed, and QueryError for a type that it does not have.
    """
    import pyarrow as pa

    try:
        import pandas as pd
    except ImportError as error:
        raise _not_installed("pandas") from error
    # A column with a NULL would otherwise turn 200 into 200.0, and round what does not fit into a float.
    nullable = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.uint8(): pd.UInt8Dtype(),
        pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(),
        pa.uint64(): pd.UInt64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    try:
        return table.to_pandas(types_mapper=nullable.get)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise _unknown_type("pandas", error) from error


def to_polars(table: pa.Table) -> pl.DataFrame:
    """A Polars frame. Raises UsageError where Polars is not installed, and QueryError for a type it does not have."""
    try:
        import polars as pl
    except ImportError as error:
        raise _not_installed("polars") from error
    try:
        frame = pl.from_arrow(table)
    except (pl.exceptions.PolarsError, ValueError, OverflowError) as error:
        raise _unknown_type("Polars", error) from error
    assert isinstance(frame, pl.DataFrame)
    return frame


def _unknown_type(library: str, error: Exception) -> QueryError:
    return QueryError(
        f"{library} cannot hold these rows: {error}", hint="Write CAST(column AS VARCHAR) in the SQL, or take .arrow()."
    )


def _not_installed(package: str) -> UsageError:
    return UsageError(
        f"{package} is not installed", hint=f"pip install 'trailkeep[{package}]'; .arrow() and .rows() need nothing."
    )
