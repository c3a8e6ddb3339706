"""The macros that every connection has, as SQL text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.catalog.body_macros import BODY_MACROS
from trailkeep.catalog.window_macros import WINDOW_MACROS

if TYPE_CHECKING:
    from collections.abc import Collection

_V4_PART = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rf"({_V4_PART}\.){{3}}{_V4_PART}"
_V6_GROUPS = r"[0-9a-f]{1,4}(:[0-9a-f]{1,4})*"
_V6 = rf"{_V6_GROUPS}|({_V6_GROUPS})?::({_V6_GROUPS})?"

# The parameters of lambdas have names that nobody gives to a table: where `r` is one, the engine takes `r.type` for the
# table's column, and `resource_of(r.resources, ...)` would be NULL without a word.
MACROS = (
    # An IPv4 address as a number of 32 bits.
    f"""
    CREATE MACRO _ip4_number(ip) AS
    CASE WHEN regexp_full_match(ip, '{_V4}') THEN
        list_reduce(
            list_transform(string_split(ip, '.'), lambda _p_: TRY_CAST(_p_ AS UBIGINT)),
            lambda _a_, _b_: _a_ * 256 + _b_
        )
    END
    """,
    # An IPv6 address as a number of 128 bits. A list of one element is how SQL gives an intermediate value a name:
    # `_ip_` is the text with an IPv4 tail written in hexadecimal, `_g_` the groups before and after the double colon.
    f"""
    CREATE MACRO _ip6_number(text) AS
    list_transform(
        list_transform([lower(text)], lambda _ip_:
            CASE WHEN regexp_full_match(_ip_, '.*:{_V4}') THEN
                regexp_replace(_ip_, '[^:]*$', '')
                || printf('%04x', CAST(_ip4_number(regexp_extract(_ip_, '[^:]*$')) AS BIGINT) // 65536)
                || ':' || printf('%04x', CAST(_ip4_number(regexp_extract(_ip_, '[^:]*$')) AS BIGINT) % 65536)
            ELSE _ip_ END),
        lambda _ip_:
            CASE WHEN regexp_full_match(_ip_, '{_V6}') THEN
                list_transform(
                    [[list_filter(string_split(split_part(_ip_, '::', 1), ':'), lambda _p_: _p_ <> ''),
                      list_filter(string_split(split_part(_ip_, '::', 2), ':'), lambda _p_: _p_ <> '')]],
                    lambda _g_:
                        CASE WHEN (contains(_ip_, '::') AND len(_g_[1]) + len(_g_[2]) <= 7)
                               OR (NOT contains(_ip_, '::') AND len(_g_[1]) = 8) THEN
                            TRY_CAST('0x'
                                || array_to_string(list_transform(_g_[1], lambda _p_: lpad(_p_, 4, '0')), '')
                                || repeat('0000', 8 - len(_g_[1]) - len(_g_[2]))
                                || array_to_string(list_transform(_g_[2], lambda _p_: lpad(_p_, 4, '0')), '')
                            AS UHUGEINT)
                        END)[1]
            END)[1]
    """,
    # Either as a number of 128 bits, an IPv4 address in its IPv6-mapped form (::ffff:a.b.c.d); NULL where it is none.
    """
    CREATE MACRO _ip_number(ip) AS
    CASE WHEN contains(ip, ':') THEN _ip6_number(ip) ELSE 281470681743360::UHUGEINT + _ip4_number(ip)::UHUGEINT END
    """,
    # How many of the 128 bits a network fixes; a network without a length is one address.
    """
    CREATE MACRO _prefix_bits(cidr) AS
    CASE
        WHEN NOT contains(cidr, '/') THEN 128
        WHEN NOT regexp_full_match(cidr, '[^/]*/[0-9]{1,3}') THEN NULL
        WHEN TRY_CAST(split_part(cidr, '/', 2) AS INTEGER) > CASE WHEN contains(cidr, ':') THEN 128 ELSE 32 END
            THEN NULL
        ELSE TRY_CAST(split_part(cidr, '/', 2) AS INTEGER) + CASE WHEN contains(cidr, ':') THEN 0 ELSE 96 END
    END
    """,
    # A shift by all 128 bits is none; so one bit is shifted apart.
    """
    CREATE MACRO ip_in_cidr(ip, cidr) AS
    CASE WHEN _prefix_bits(cidr) = 128 THEN _ip_number(ip) = _ip_number(split_part(cidr, '/', 1))
    ELSE ((_ip_number(ip) >> 1::UHUGEINT) >> (127 - _prefix_bits(cidr))::UHUGEINT)
       = ((_ip_number(split_part(cidr, '/', 1)) >> 1::UHUGEINT) >> (127 - _prefix_bits(cidr))::UHUGEINT)
    END
    """,
    # Of an IPv6 address the first four groups, of which zeros at the end melt into the double colon.
    f"""
    CREATE MACRO ip_network(ip) AS
    CASE
        WHEN NOT contains(ip, ':') THEN
            CASE WHEN regexp_full_match(ip, '{_V4}') THEN regexp_extract(ip, '^.*[.]') || '0/24' END
        ELSE list_transform([_ip6_number(ip)], lambda _n_:
            CASE
                WHEN _n_ IS NULL THEN NULL
                WHEN (_n_ >> 32::UHUGEINT) = 65535::UHUGEINT THEN printf(
                    '%d.%d.%d.0/24',
                    ((_n_ >> 24::UHUGEINT) % 256)::BIGINT, ((_n_ >> 16::UHUGEINT) % 256)::BIGINT,
                    ((_n_ >> 8::UHUGEINT) % 256)::BIGINT
                )
                ELSE regexp_replace(
                    printf(
                        '%x:%x:%x:%x',
                        (_n_ >> 112::UHUGEINT)::BIGINT, ((_n_ >> 96::UHUGEINT) % 65536)::BIGINT,
                        ((_n_ >> 80::UHUGEINT) % 65536)::BIGINT, ((_n_ >> 64::UHUGEINT) % 65536)::BIGINT
                    ),
                    '(^|:)0(:0)*$', ''
                ) || '::/64'
            END)[1]
    END
    """,
    "CREATE MACRO is_success(code) AS code BETWEEN 200 AND 299",
    "CREATE MACRO is_denied(code) AS code IN (401, 403)",
    """
    CREATE MACRO outcome_of(code) AS
    CASE
        WHEN code IS NULL THEN NULL
        WHEN is_success(code) THEN 'success'
        WHEN is_denied(code) THEN 'denied'
        ELSE 'failure'
    END
    """,
    "CREATE MACRO verb(method) AS nullif(regexp_extract(method, '^[A-Z]?[a-z]+|^[A-Z]+'), '')",
    """
    CREATE MACRO user_agent_family(ua) AS
    CASE
        WHEN ua IS NULL THEN NULL
        WHEN contains(lower(ua), 'opentofu') THEN 'opentofu'
        WHEN contains(lower(ua), 'terraform') THEN 'terraform'
        WHEN contains(lower(ua), 'pulumi') THEN 'pulumi'
        WHEN contains(lower(ua), 'crossplane') THEN 'crossplane'
        WHEN contains(lower(ua), 'ansible') THEN 'ansible'
        WHEN contains(lower(ua), 'packer') THEN 'packer'
        WHEN contains(lower(ua), 'scaleway-cli') THEN 'scaleway-cli'
        WHEN contains(lower(ua), 'scaleway-sdk-go') THEN 'scaleway-sdk-go'
        WHEN contains(lower(ua), 'scaleway-sdk-python') OR contains(lower(ua), 'scaleway-python')
            THEN 'scaleway-sdk-python'
        WHEN contains(lower(ua), 'scaleway-sdk-js') THEN 'scaleway-sdk-js'
        WHEN contains(lower(ua), 'kube') THEN 'kubernetes'
        WHEN contains(lower(ua), 'curl/') THEN 'curl'
        WHEN contains(lower(ua), 'wget') THEN 'wget'
        WHEN regexp_matches(lower(ua), 'python|aiohttp|httpx') THEN 'python'
        WHEN contains(lower(ua), 'go-http-client') THEN 'go'
        WHEN regexp_matches(lower(ua), '^(java|okhttp|apache-httpclient)') THEN 'java'
        WHEN regexp_matches(lower(ua), '^(node|axios|undici|got)') THEN 'node'
        WHEN contains(lower(ua), 'powershell') THEN 'powershell'
        WHEN starts_with(ua, 'Mozilla/') THEN 'browser'
        ELSE 'other'
    END
    """,
    *BODY_MACROS,
    *WINDOW_MACROS,
)
"""The statements that create all macros but `ip_label`, in order: each uses only earlier ones."""


def statements(functions: Collection[str] | None = None) -> tuple[str, ...]:
    """Those statements, and that of `ip_label` where it is among the functions, or where these are None for all."""
    # It is made of a list of ranges, which takes longer to read than a small question takes to answer.
    if functions is not None and "ip_label" not in functions:
        return MACROS
    from trailkeep.catalog.addresses import ip_label

    return (*MACROS, ip_label())
