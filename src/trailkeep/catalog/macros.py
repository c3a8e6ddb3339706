"""The macros that every connection has, as SQL text."""

from __future__ import annotations

_V4_PART = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rf"({_V4_PART}\.){{3}}{_V4_PART}"
_V6_GROUPS = r"[0-9a-f]{1,4}(:[0-9a-f]{1,4})*"
_V6 = rf"{_V6_GROUPS}|({_V6_GROUPS})?::({_V6_GROUPS})?"

MACROS = (
    # An address as a number of 128 bits, an IPv4 address in its IPv6-mapped form (::ffff:a.b.c.d); NULL where it is none.
    f"""
    CREATE MACRO _ip4_number(ip) AS
    CASE WHEN regexp_full_match(ip, '{_V4}') THEN
        list_reduce(list_transform(string_split(ip, '.'), lambda p: TRY_CAST(p AS UBIGINT)), lambda a, b: a * 256 + b)
    END
    """,
    # The last four bytes of an IPv6 address may be written as an IPv4 address.
    f"""
    CREATE MACRO _ip6_text(ip) AS
    CASE WHEN regexp_full_match(ip, '.*:{_V4}') THEN
        regexp_replace(ip, '[^:]*$', '') || format('{{:x}}:{{:x}}',
            CAST(_ip4_number(regexp_extract(ip, '[^:]*$')) AS BIGINT) // 65536,
            CAST(_ip4_number(regexp_extract(ip, '[^:]*$')) AS BIGINT) % 65536)
    ELSE ip END
    """,
    """
    CREATE MACRO _ip6_groups(part) AS
    CASE WHEN part = '' THEN [] ELSE string_split(part, ':') END
    """,
    f"""
    CREATE MACRO _ip6_number(ip) AS
    CASE WHEN NOT regexp_full_match(ip, '{_V6}') THEN NULL
    WHEN contains(ip, '::') THEN
        CASE WHEN len(_ip6_groups(split_part(ip, '::', 1))) + len(_ip6_groups(split_part(ip, '::', 2))) <= 7 THEN
            _groups_number(list_concat(
                _ip6_groups(split_part(ip, '::', 1)),
                list_resize(CAST([] AS VARCHAR[]),
                    8 - len(_ip6_groups(split_part(ip, '::', 1))) - len(_ip6_groups(split_part(ip, '::', 2))), '0'),
                _ip6_groups(split_part(ip, '::', 2))))
        END
    WHEN len(string_split(ip, ':')) = 8 THEN _groups_number(string_split(ip, ':'))
    END
    """,
    """
    CREATE MACRO _ip_number(ip) AS
    CASE WHEN contains(ip, ':') THEN _ip6_number(_ip6_text(lower(ip)))
    ELSE 281470681743360::UHUGEINT + CAST(_ip4_number(ip) AS UHUGEINT) END
    """,
    # How many of the 128 bits a network fixes; a network without a length is one address.
    """
    CREATE MACRO _prefix_bits(cidr) AS
    CASE WHEN NOT contains(cidr, '/') THEN 128
    WHEN NOT regexp_full_match(split_part(cidr, '/', 2), '[0-9]{1,3}') OR len(string_split(cidr, '/')) <> 2 THEN NULL
    WHEN contains(cidr, ':') THEN
        CASE WHEN CAST(split_part(cidr, '/', 2) AS INTEGER) <= 128 THEN CAST(split_part(cidr, '/', 2) AS INTEGER) END
    WHEN CAST(split_part(cidr, '/', 2) AS INTEGER) <= 32 THEN 96 + CAST(split_part(cidr, '/', 2) AS INTEGER)
    END
    """,
    """
    CREATE MACRO ip_in_cidr(ip, cidr) AS
    CASE WHEN _prefix_bits(CAST(cidr AS VARCHAR)) = 0 THEN
        _ip_number(CAST(ip AS VARCHAR)) IS NOT NULL AND _ip_number(split_part(CAST(cidr AS VARCHAR), '/', 1)) IS NOT NULL
    ELSE
        (_ip_number(CAST(ip AS VARCHAR)) >> (128 - _prefix_bits(CAST(cidr AS VARCHAR)))::UHUGEINT)
        = (_ip_number(split_part(CAST(cidr AS VARCHAR), '/', 1)) >> (128 - _prefix_bits(CAST(cidr AS VARCHAR)))::UHUGEINT)
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
"""In an order in which each uses only earlier ones, but for ``_groups_number``, which `statements` puts first."""

_GROUPS_NUMBER = """
    CREATE MACRO _groups_number(groups) AS
    TRY_CAST('0x' || array_to_string(list_transform(groups, lambda g: lpad(g, 4, '0')), '') AS UHUGEINT)
"""


def statements() -> tuple[str, ...]:
    """The statements that create all macros, in order."""
    return (_GROUPS_NUMBER, *MACROS)
