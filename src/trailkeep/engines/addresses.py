"""Whether an address lies in a network, in Spark's SQL: both as 128 bits written as text, compared by their beginning.

An IPv4 address stands in its IPv6-mapped form, as in the macro ``ip_in_cidr``; what is no address gives NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.engines.spark_text import literal, parsed

if TYPE_CHECKING:
    from sqlglot import exp

_PART = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rf"({_PART}\.){{3}}{_PART}"
_GROUPS = "[0-9a-f]{1,4}(:[0-9a-f]{1,4})*"
_V6 = f"{_GROUPS}|({_GROUPS})?::({_GROUPS})?"


def _whole(pattern: str) -> exp.Expr:
    return literal(rf"(?d)\A(?:{pattern})\z")


def _octets(text: str) -> str:
    return ", ".join(f"lpad(conv(split_part({text}, '.', {place}), 10, 2), 8, '0')" for place in (1, 2, 3, 4))


_BITS_4 = f"CASE WHEN ip RLIKE v4 THEN concat(repeat('0', 80), repeat('1', 16), {_octets('ip')}) END"

# A list of one element is how SQL gives an intermediate value a name: t is the text with an IPv4 tail written in
# hexadecimal, g the groups before and after the double colon.
_TAIL = "regexp_extract(t, '[^:]*$', 0)"
_HEXADECIMAL_TAIL = ", ':', ".join(
    f"lower(conv(concat(lpad(conv(split_part({_TAIL}, '.', {a}), 10, 2), 8, '0'), "
    f"lpad(conv(split_part({_TAIL}, '.', {b}), 10, 2), 8, '0')), 2, 16))"
    for a, b in ((1, 2), (3, 4))
)
_GROUP_BITS = "array_join(transform({}, p -> lpad(conv(p, 16, 2), 16, '0')), '')"
_BITS_6 = f"""
try_element_at(transform(
    transform(array(lower(ip)), t ->
        CASE WHEN t RLIKE tail4 THEN concat(regexp_replace(t, '[^:]*$', ''), {_HEXADECIMAL_TAIL}) ELSE t END),
    t -> CASE WHEN t RLIKE v6 THEN try_element_at(transform(
        array(named_struct(
            'a', filter(split(split_part(t, '::', 1), ':'), p -> p <> ''),
            'b', filter(split(split_part(t, '::', 2), ':'), p -> p <> ''))),
        g -> CASE
            WHEN (contains(t, '::') AND size(g.a) + size(g.b) <= 7) OR (NOT contains(t, '::') AND size(g.a) = 8)
            THEN concat({_GROUP_BITS.format("g.a")}, repeat('0000000000000000', 8 - size(g.a) - size(g.b)),
                {_GROUP_BITS.format("g.b")})
        END), 1) END), 1)
"""

_PREFIX_BITS = """
CASE
    WHEN NOT contains(cidr, '/') THEN 128
    WHEN NOT cidr RLIKE network THEN NULL
    WHEN TRY_CAST(split_part(cidr, '/', 2) AS INT) > CASE WHEN contains(cidr, ':') THEN 128 ELSE 32 END THEN NULL
    ELSE TRY_CAST(split_part(cidr, '/', 2) AS INT) + CASE WHEN contains(cidr, ':') THEN 0 ELSE 96 END
END
"""


def _bits(ip: exp.Expr) -> exp.Expr:
    return parsed(
        f"CASE WHEN contains(ip, ':') THEN {_BITS_6} ELSE {_BITS_4} END",
        ip=ip,
        v4=_whole(_V4),
        v6=_whole(_V6),
        tail4=_whole(f".*:{_V4}"),
    )


def in_cidr(address: exp.Expr, network: exp.Expr) -> exp.Expr:
    """Whether the text `address` lies in the text `network`."""
    from sqlglot import exp

    prefix = parsed(_PREFIX_BITS, cidr=network, network=_whole("[^/]*/[0-9]{1,3}"))
    base = parsed("split_part(cidr, '/', 1)", cidr=network)
    return exp.paren(
        parsed("left(address, prefix) = left(base, prefix)", address=_bits(address), base=_bits(base), prefix=prefix),
        copy=False,
    )


# The first four groups of the 128 bits in hexadecimal, of which zeros at the end melt into the double colon.
_GROUP = "lower(conv(substring(b, {}, 16), 2, 16))"
_OCTET = "conv(substring(b, {}, 8), 2, 10)"
_NETWORK = f"""
try_element_at(transform(array(bits), b -> CASE
    WHEN b IS NULL THEN NULL
    WHEN left(b, 96) = concat(repeat('0', 80), repeat('1', 16))
    THEN concat({_OCTET.format(97)}, '.', {_OCTET.format(105)}, '.', {_OCTET.format(113)}, '.0/24')
    ELSE concat(
        regexp_replace(concat_ws(':', {", ".join(_GROUP.format(1 + 16 * place) for place in range(4))}), zeros, ''),
        '::/64')
END), 1)
"""


def network_of(address: exp.Expr) -> exp.Expr:
    """The network around the text `address`, as the macro ``ip_network`` gives it."""
    return parsed(_NETWORK, bits=_bits(address), zeros=literal(r"(?d)(^|:)0(:0)*\z"))


def label_of(address: exp.Expr) -> exp.Expr:
    """What kind of address the text `address` is, as the macro ``ip_label`` gives it."""
    from trailkeep.geo import label_ranges

    cases = " ".join(
        f"WHEN b BETWEEN '{first:0128b}' AND '{last:0128b}' THEN '{label}'" for first, last, label in label_ranges()
    )
    return parsed(f"try_element_at(transform(array(bits), b -> CASE {cases} END), 1)", bits=_bits(address))
