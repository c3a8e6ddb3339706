"""The macros that every connection has, as SQL text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_V4_PART = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rf"({_V4_PART}\.){{3}}{_V4_PART}"
_V6_GROUPS = r"[0-9a-f]{1,4}(:[0-9a-f]{1,4})*"
_V6 = rf"{_V6_GROUPS}|({_V6_GROUPS})?::({_V6_GROUPS})?"

MACROS = (
    # An IPv4 address as a number of 32 bits.
    f"""
    CREATE MACRO _ip4_number(ip) AS
    CASE WHEN regexp_full_match(ip, '{_V4}') THEN
        list_reduce(list_transform(string_split(ip, '.'), lambda p: TRY_CAST(p AS UBIGINT)), lambda a, b: a * 256 + b)
    END
    """,
    # An IPv6 address as a number of 128 bits. A list of one element is how SQL gives an intermediate value a name:
    # `ip` is the text with an IPv4 tail written in hexadecimal, `g` the groups before and after the double colon.
    f"""
    CREATE MACRO _ip6_number(text) AS
    list_transform(
        list_transform([lower(text)], lambda ip:
            CASE WHEN regexp_full_match(ip, '.*:{_V4}') THEN
                regexp_replace(ip, '[^:]*$', '')
                || printf('%04x', CAST(_ip4_number(regexp_extract(ip, '[^:]*$')) AS BIGINT) // 65536)
                || ':' || printf('%04x', CAST(_ip4_number(regexp_extract(ip, '[^:]*$')) AS BIGINT) % 65536)
            ELSE ip END),
        lambda ip:
            CASE WHEN regexp_full_match(ip, '{_V6}') THEN
                list_transform(
                    [[list_filter(string_split(split_part(ip, '::', 1), ':'), lambda p: p <> ''),
                      list_filter(string_split(split_part(ip, '::', 2), ':'), lambda p: p <> '')]],
                    lambda g:
                        CASE WHEN (contains(ip, '::') AND len(g[1]) + len(g[2]) <= 7)
                               OR (NOT contains(ip, '::') AND len(g[1]) = 8) THEN
                            TRY_CAST('0x'
                                || array_to_string(list_transform(g[1], lambda p: lpad(p, 4, '0')), '')
                                || repeat('0000', 8 - len(g[1]) - len(g[2]))
                                || array_to_string(list_transform(g[2], lambda p: lpad(p, 4, '0')), '')
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
    "CREATE MACRO is_success(code) AS code BETWEEN 200 AND 299",
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
)
"""The statements that create all macros but `ip_label`, in order: each uses only earlier ones."""


def statements(functions: Collection[str] | None = None) -> tuple[str, ...]:
    """Those statements, and that of `ip_label` where it is among the functions, or where these are None for all."""
    # It is made of a list of ranges, which takes longer to read than a small question takes to answer.
    if functions is not None and "ip_label" not in functions:
        return MACROS
    from trailkeep.catalog.addresses import ip_label

    return (*MACROS, ip_label())
