"""Times and lengths of time in Spark's terms. Spark's functions give times with the session's zone, which is UTC."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.engines.kinds import INTERVAL, TIME
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_text import call, cast, literal, number, parsed, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from trailkeep.engines.spark_rules import SparkRules

_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400, "WEEK": 604_800}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_PARTS = {
    "YEAR": "year(a)",
    "QUARTER": "quarter(a)",
    "MONTH": "month(a)",
    "WEEK": "weekofyear(a)",
    "DAY": "day(a)",
    "DOY": "dayofyear(a)",
    "DAYOFYEAR": "dayofyear(a)",
    "DOW": "(dayofweek(a) - 1)",
    "DAYOFWEEK": "(dayofweek(a) - 1)",
    "ISODOW": "(weekday(a) + 1)",
    "HOUR": "hour(a)",
    "MINUTE": "minute(a)",
    "SECOND": "second(a)",
}
_CLASSES = {
    "Year": "YEAR", "Quarter": "QUARTER", "Month": "MONTH", "Week": "WEEK", "WeekOfYear": "WEEK", "Day": "DAY",
    "DayOfMonth": "DAY", "DayOfYear": "DOY", "DayOfWeek": "DOW", "DayOfWeekIso": "ISODOW", "Hour": "HOUR",
    "Minute": "MINUTE", "Second": "SECOND",
}  # fmt: skip
_FORMATS = {
    "Y": "yyyy", "m": "MM", "d": "dd", "H": "HH", "M": "mm", "S": "ss", "f": "SSSSSS", "j": "DDD", "a": "EEE",
    "A": "EEEE",    "b": "MMM", "B": "MMMM",
}  # fmt: skip
_LENGTH = re.compile(r"\s*([+-]?\d+)\s*([a-zA-Z]+)\s*")
_EPOCH = "TIMESTAMP_NTZ '1970-01-01 00:00:00'"
_WEEK_ORIGIN = "946857600000000"
"""Monday, 3 January 2000, in microseconds: where `time_bucket` begins to count."""


def _unit(node: Any) -> str:
    return str(getattr(node, "name", node) or "").upper().removesuffix("S")


def _moment(rules: SparkRules, node: exp.Expr) -> exp.Expr:
    """The value as a time of Spark's that its own functions take."""
    return cast(rules.rewrite(node.copy()), "TIMESTAMP_LTZ")


def _truncated(rules: SparkRules, node: Any) -> exp.Expr:
    return _cut(_unit(node.args.get("unit")), rules.rewrite(node.this))


def _cut(unit: str, value: exp.Expr) -> exp.Expr:
    if unit not in _SECONDS and unit not in _MONTHS:
        raise Untranslatable(f"date_trunc of {unit}")
    return cast(call("date_trunc", literal(unit), value), "TIMESTAMP_NTZ")


def _part(rules: SparkRules, unit: str, value: exp.Expr) -> exp.Expr:
    if unit == "EPOCH":
        return _epoch(rules, value)
    if unit not in _PARTS or rules.kinds.of(value) == INTERVAL:
        raise Untranslatable(f"{unit} of {shown(value)}")
    return cast(parsed(_PARTS[unit], a=_moment(rules, value)), "BIGINT")


def _extract(rules: SparkRules, node: Any) -> exp.Expr:
    return _part(rules, str(node.this.name).upper(), node.expression)


def _part_by_class(rules: SparkRules, node: Any) -> exp.Expr:
    return _part(rules, _CLASSES[type(node).__name__], node.this)


def _date_part(rules: SparkRules, unit: exp.Expr, value: exp.Expr) -> exp.Expr:
    return _part(rules, unit.name.upper(), value)


def _microseconds(rules: SparkRules, node: exp.Expr) -> exp.Expr:
    """A time, or a length of time, in microseconds."""
    value = rules.rewrite(node.copy())
    if rules.kinds.of(node) == INTERVAL:
        value = parsed(f"{_EPOCH} + a", a=value)
    return parsed("unix_micros(a)", a=cast(value, "TIMESTAMP_LTZ"))


def _epoch(rules: SparkRules, value: exp.Expr) -> exp.Expr:
    return parsed("(CAST(a AS DOUBLE) / CAST(1000000 AS DOUBLE))", a=_microseconds(rules, value))


def _to_unix(rules: SparkRules, node: Any) -> exp.Expr:
    return _epoch(rules, node.this)


def _from_unix(rules: SparkRules, node: Any) -> exp.Expr:
    """``epoch_ms``, which takes a time as well as a number."""
    if rules.kinds.of(node.this) not in (TIME, INTERVAL) or getattr(node.args.get("scale"), "name", "") != "3":
        raise Untranslatable(f"{shown(node)}")
    return parsed("(a DIV 1000)", a=_microseconds(rules, node.this))


def _difference(rules: SparkRules, node: Any) -> exp.Expr:
    """The boundaries of the unit between two times, as DuckDB counts them; Spark counts what has passed in full."""
    unit = _unit(node.args.get("unit"))
    start, end = _moment(rules, node.expression), _moment(rules, node.this)
    if unit == "DAY":
        return cast(parsed("datediff(CAST(b AS DATE), CAST(a AS DATE))", a=start, b=end), "BIGINT")
    if unit in ("MONTH", "YEAR"):
        months = "((year(b) - year(a)) * 12 + month(b) - month(a))" if unit == "MONTH" else "(year(b) - year(a))"
        return cast(parsed(months, a=start, b=end), "BIGINT")
    if unit not in ("HOUR", "MINUTE", "SECOND"):
        raise Untranslatable(f"date_diff in {unit.lower()}s")
    return parsed(
        f"((unix_seconds(date_trunc('{unit}', b)) - unix_seconds(date_trunc('{unit}', a))) DIV {_SECONDS[unit]})",
        a=start,
        b=end,
    )


def _passed(rules: SparkRules, unit: exp.Expr, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    """The units that have passed in full between two times."""
    name = _unit(unit)
    if name not in _SECONDS:
        raise Untranslatable(f"date_sub in {name.lower()}s")
    return parsed(
        f"((unix_micros(b) - unix_micros(a)) DIV {_SECONDS[name] * 1_000_000})",
        a=_moment(rules, start),
        b=_moment(rules, end),
    )


def _bucket(rules: SparkRules, node: Any) -> exp.Expr:
    if node.args.get("origin") is not None or rules.kinds.of(node.this) != INTERVAL:
        raise Untranslatable(f"{shown(node)}")
    width = rules.rewrite(node.this)
    if "MONTH" in width.sql("spark").upper():
        raise Untranslatable(f"{shown(node)} of months")
    wide = parsed(f"unix_micros(CAST({_EPOCH} + w AS TIMESTAMP_LTZ))", w=width)
    text = "CAST(timestamp_micros(t - pmod(t - o, w)) AS TIMESTAMP_NTZ)"
    return parsed(text, t=_microseconds(rules, node.expression), o=number(_WEEK_ORIGIN), w=wide)


def _formatted(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    form = node.args.get("format")
    if not isinstance(form, exp.Literal):
        raise Untranslatable(f"{shown(node)}: a format that is not written in the query")
    written = ""
    for sign, text in re.findall(r"%(.?)|([^%]+)", form.name):
        if text:
            written += "'" + text.replace("'", "''") + "'" if re.search(r"[A-Za-z'\[\]{}#]", text) else text
        elif sign == "%":
            written += "%"
        elif sign in _FORMATS:
            written += _FORMATS[sign]
        else:
            raise Untranslatable(f"%{sign} in a format of times")
    return call("date_format", _moment(rules, node.this), literal(written))


# Lengths of time


def _interval(rules: SparkRules, node: Any) -> exp.Expr:
    from sqlglot import exp

    amount, unit = node.this, node.args.get("unit")
    if unit is not None and not isinstance(unit, exp.Var):
        raise Untranslatable(f"{shown(node)}")
    if isinstance(amount, exp.Literal):
        return _length(f"{amount.name} {unit.name}" if unit is not None else amount.name, node)
    if unit is None:
        raise Untranslatable(f"{shown(node)}: the text of a length of time")
    return _times(rules, amount, _unit(unit))


def _length(text: str, node: exp.Expr) -> exp.Expr:
    """A length of time that is written in the query."""
    seconds, months, position = 0, 0, 0
    while position < len(text):
        found = _LENGTH.match(text, position)
        unit = _unit(found[2]) if found else ""
        if found is None or (unit not in _SECONDS and unit not in _MONTHS):
            raise Untranslatable(f"the length of time {shown(node)}")
        seconds += int(found[1]) * _SECONDS.get(unit, 0)
        months += int(found[1]) * _MONTHS.get(unit, 0)
        position = found.end()
    if months and seconds:
        raise Untranslatable(f"months and days in one length of time: {shown(node)}")
    if months:
        return parsed(f"INTERVAL '{months}' MONTH")
    return cast(literal(duration_text(timedelta(seconds=seconds))), "INTERVAL DAY TO SECOND")


def duration_text(length: timedelta) -> str:
    """A length of time as Spark reads it: days, hours, minutes, seconds."""
    sign, whole = ("-", -length) if length < timedelta() else ("", length)
    hours, rest = divmod(whole.seconds, 3_600)
    return f"{sign}{whole.days} {hours:02}:{rest // 60:02}:{rest % 60:02}.{whole.microseconds:06}"


def _times(rules: SparkRules, amount: exp.Expr, unit: str) -> exp.Expr:
    value = rules.rewrite(amount.copy())
    if unit in _MONTHS:
        return parsed(f"(a * INTERVAL '{_MONTHS[unit]}' MONTH)", a=value)
    if unit not in _SECONDS:
        raise Untranslatable(f"a length of time in {unit.lower()}s")
    one = cast(literal(duration_text(timedelta(seconds=_SECONDS[unit]))), "INTERVAL DAY TO SECOND")
    return parsed("(a * one)", a=value, one=one)


def _in_unit(unit: str) -> Callable[..., exp.Expr]:
    def rule(rules: SparkRules, amount: exp.Expr) -> exp.Expr:
        return _times(rules, amount, unit)

    return rule


RULES: dict[str, Callable[[SparkRules, Any], Any]] = {
    "DateBin": _bucket,
    "DateDiff": _difference,
    "DateTrunc": _truncated,
    "Extract": _extract,
    "Interval": _interval,
    "TimeToStr": _formatted,
    "TimeToUnix": _to_unix,
    "TimestampTrunc": _truncated,
    "ToDays": lambda rules, node: _times(rules, node.this, "DAY"),
    "UnixToTime": _from_unix,
    **dict.fromkeys(_CLASSES, _part_by_class),
}
BY_NAME: dict[str, Callable[..., Any]] = {
    "date_part": _date_part,
    "datepart": _date_part,
    "date_sub": _passed,
    "datesub": _passed,
    "epoch_us": _microseconds,
    **{f"to_{unit.lower()}s": _in_unit(unit) for unit in (*_SECONDS, *_MONTHS)},
}
