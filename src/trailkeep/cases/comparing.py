"""The answer that a case wants beside the one that came: row by row, in order, the named columns only."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trailkeep.cases.moments import length, moment
from trailkeep.hostile import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

MAX_SHOWN = 20
"""How many differences are told one by one."""

_SHOWN_CHARACTERS = 300
_MOST_PAIRS = 1_000_000


def differences(wanted: Sequence[Row], lines: Sequence[int], got: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """What tells the answer from the one that is wanted, a line each; nothing where they agree."""
    named = list(dict.fromkeys(name for row in wanted for name in row))
    if unknown := [name for name in named if name not in columns]:
        return [f"the result has no column {', '.join(map(_shown_name, unknown))}; it has {', '.join(columns)}"]
    if len(wanted) == len(got):
        pairs: list[tuple[int | None, int | None]] = [(index, index) for index in range(len(wanted))]
    else:
        pairs = _aligned(wanted, got)
    found = [] if len(wanted) == len(got) else [f"{_rows(len(wanted))} wanted, {_rows(len(got))} came"]
    for want, came in pairs:
        if want is None and came is not None:
            # Where no row is wanted, none names its columns: then the first ones say what it is.
            names = named or list(columns)[:8]
            found.append(f"row {came + 1} is not wanted: {shown({name: got[came][name] for name in names})}")
        elif want is not None and came is None:
            found.append(f"line {lines[want]}: no such row: {shown(wanted[want])}")
        elif want is not None and came is not None:
            place = f"line {lines[want]}: row {came + 1}"
            found += [
                f"{place}: {_shown_name(name)} is {shown(got[came][name])}, wanted {shown(value)}"
                for name, value in wanted[want].items()
                if not same(value, got[came][name])
            ]
    if len(found) > MAX_SHOWN:
        found = [*found[:MAX_SHOWN], f"and {len(found) - MAX_SHOWN} more differences"]
    return found


def same(wanted: Any, got: Any) -> bool:
    """Whether a value of the result is what was written for it."""
    if wanted is None or got is None:
        return wanted is got
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(got, datetime):
        return _is(lambda: moment(wanted) == (got if got.tzinfo else got.replace(tzinfo=UTC)))
    if isinstance(got, date):
        return str(wanted) == got.isoformat()
    if isinstance(got, timedelta) or hasattr(got, "nanoseconds"):
        return _is(lambda: length(wanted) == _as_length(got))
    if isinstance(got, int | float | Decimal):
        if not isinstance(wanted, float) and not isinstance(got, float):
            return isinstance(wanted, int) and bool(wanted == got)
        return _is(lambda: math.isclose(wanted, got, rel_tol=1e-9))
    if isinstance(got, dict):
        return isinstance(wanted, dict) and all(
            name in got and same(value, got[name]) for name, value in wanted.items()
        )
    if isinstance(got, list | tuple):
        return (
            isinstance(wanted, list)
            and len(wanted) == len(got)
            and all(same(value, each) for value, each in zip(wanted, got, strict=True))
        )
    if isinstance(wanted, dict | list):
        return _is(lambda: json.loads(got) == wanted)  # JSON text, whatever its spaces and the order of its keys
    if isinstance(got, bytes):
        return bool(wanted == got.hex())
    return isinstance(wanted, str) and wanted == str(got)


def shown(value: Any) -> str:
    """A value on one line, as it could be written in a case; what is hostile in it is shown as escapes."""
    text = one_line(json.dumps(_plain(value), ensure_ascii=False, default=str))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T") + "Z"
    if isinstance(value, timedelta) or hasattr(value, "nanoseconds"):
        return str(_as_length(value))
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _shown_name(name: str) -> str:
    return one_line(name)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _is(compare: Any) -> bool:
    try:
        return bool(compare())
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


def _as_length(got: Any) -> timedelta:
    """A length of time of the engine's: months are told apart from days by it, and are 30 of them."""
    if isinstance(got, timedelta):
        return got
    return timedelta(days=got.months * 30 + got.days, microseconds=got.nanoseconds // 1000)


def _aligned(wanted: Sequence[Row], got: Sequence[Row]) -> list[tuple[int | None, int | None]]:
    """Which rows belong together where there are more of one than of the other: as many as agree, in order."""
    if len(wanted) * len(got) > _MOST_PAIRS:
        both = min(len(wanted), len(got))
        return [(index if index < len(wanted) else None, index if index < len(got) else None) for index in range(both)]
    agree = [[_agrees(want, came) for came in got] for want in wanted]
    best = [[0] * (len(got) + 1) for _ in range(len(wanted) + 1)]
    for want in reversed(range(len(wanted))):
        for came in reversed(range(len(got))):
            best[want][came] = max(
                best[want + 1][came],
                best[want][came + 1],
                best[want + 1][came + 1] + 1 if agree[want][came] else 0,
            )
    pairs: list[tuple[int | None, int | None]] = []
    want = came = 0
    while want < len(wanted) or came < len(got):
        if (
            want < len(wanted)
            and came < len(got)
            and agree[want][came]
            and best[want][came] == best[want + 1][came + 1] + 1
        ):
            pairs.append((want, came))
            want, came = want + 1, came + 1
        elif came == len(got) or (want < len(wanted) and best[want + 1][came] >= best[want][came + 1]):
            pairs.append((want, None))
            want += 1
        else:
            pairs.append((None, came))
            came += 1
    return pairs


def _agrees(wanted: Row, got: Row) -> bool:
    return all(same(value, got[name]) for name, value in wanted.items())
