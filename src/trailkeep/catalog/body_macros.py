"""The macros that read request bodies and resources, as SQL text.

A body is sound JSON or NULL, and otherwise whatever a caller chose to send: a text where a list belongs, a list where a
text does, numbers and nulls. None of that is an error, and none of it makes a row vanish.
"""

from __future__ import annotations

# A path with a wildcard must be a constant; without a name it is one that no body has.
_NO_FIELD = "' '"
_RANGE_V4 = r"0*(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.0*(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}"
_RANGE_V6 = r"[0-9a-f:]*:[0-9a-f:]*(:[0-9.]+)?"
_RANGE_MAPPED = rf"[0:]*:0*ffff:({_RANGE_V4}|[0-9a-f]{{1,4}}:[0-9a-f]{{1,4}})"

_BROAD = (
    "Organization(Manager|Owner)",
    "ProjectManager",
    "BillingManager",
    "IAM[A-Za-z]*Manager",
    "KubernetesSystemMastersGroupAccess",
    "[A-Za-z0-9]*FullAccess",
)
"""What the names of broad permission sets look like: whoever may manage the Organization, its Projects, its money or
its identities, is root in a cluster, or may do everything with a product."""

BODY_MACROS = (
    # application_id as applicationId, in each part of a path.
    """
    CREATE MACRO _camel(name) AS
    list_reduce(string_split(name, '_'), lambda _a_, _b_: _a_ || upper(_b_[1]) || _b_[2:])
    """,
    """
    CREATE MACRO body_text(body, name) AS
    coalesce(
        nullif(json_extract_string(body, '$.' || name), ''),
        nullif(json_extract_string(body, '$.' || _camel(name)), '')
    )
    """,
    "CREATE MACRO _texts(body, path) AS CAST(coalesce(json_extract_string(body, path), []) AS VARCHAR[])",
    """
    CREATE MACRO body_list(body, name) AS
    CAST(list_filter(
        list_concat(
            _texts(body, '$.' || coalesce(name, NO_FIELD) || '[*]'),
            _texts(body, '$.' || coalesce(nullif(_camel(name), name), NO_FIELD) || '[*]')
        ),
        lambda _t_: _t_ IS NOT NULL
    ) AS VARCHAR[])
    """.replace("NO_FIELD", _NO_FIELD),
    # Besides the elements of lists, fields that are a text by themselves: what begins with a bracket is none.
    """
    CREATE MACRO _body_every(body, name) AS
    list_concat(
        _texts(body, '$..' || coalesce(name, NO_FIELD) || '[*]'),
        list_transform(
            list_filter(
                CAST(coalesce(json_extract(body, '$..' || coalesce(name, NO_FIELD)), []) AS JSON[]),
                lambda _j_: NOT regexp_matches(CAST(_j_ AS VARCHAR), '^[\\[{]')
            ),
            lambda _j_: json_extract_string(_j_, '$')
        )
    )
    """.replace("NO_FIELD", _NO_FIELD),
    """
    CREATE MACRO body_every(body, name) AS
    CAST(list_sort(list_distinct(list_filter(
        list_concat(_body_every(body, name), _body_every(body, _camel(name))), lambda _t_: _t_ IS NOT NULL
    ))) AS VARCHAR[])
    """,
    """
    CREATE MACRO resource_of(resources, kind) AS
    CAST(list_filter(resources, lambda _r_: _r_.type = kind AND _r_.id IS NOT NULL)[1].id AS VARCHAR)
    """,
    """
    CREATE MACRO resources_of(resources, kind) AS
    coalesce(
        list_transform(list_filter(resources, lambda _r_: _r_.type = kind AND _r_.id IS NOT NULL), lambda _r_: _r_.id),
        []
    )
    """,
    """
    CREATE MACRO resource_ids(resources) AS
    CAST(coalesce(list_transform(resources, lambda _r_: _r_.id), []) AS VARCHAR[])
    """,
    """
    CREATE MACRO resource_names(resources) AS
    CAST(coalesce(list_transform(resources, lambda _r_: _r_.name), []) AS VARCHAR[])
    """,
    """
    CREATE MACRO login_user(resources) AS
    CAST(list_filter(
        resources, lambda _r_: _r_.type IN ('iam_user', 'account_user') AND _r_.id IS NOT NULL
    )[1].id AS VARCHAR)
    """,
    # By the form of the text alone: whatever address it begins at, so short a prefix holds an eighth of all or more.
    f"""
    CREATE MACRO is_world(network) AS
    regexp_full_match(
        lower(network),
        '\\s*(({_RANGE_V4}|{_RANGE_V6})\\s*/\\s*0*[0-3]|{_RANGE_MAPPED}\\s*/\\s*0*9[6-9])\\s*'
    )
    """,
    # JSON may write any character as its number: those that a network is made of are written as themselves.
    r"""
    CREATE MACRO _written_plainly(body) AS
    CASE WHEN contains(body, '\u00') THEN
        regexp_replace(regexp_replace(regexp_replace(regexp_replace(body,
            '\\u003([0-9])', '\1', 'g'), '\\u002[fF]', '/', 'g'), '\\u002[eE]', '.', 'g'), '\\u003[aA]', ':', 'g')
    ELSE body END
    """,
    # One look at the text, however deep the body is nested: a quote without a backslash before it begins a text.
    r"""
    CREATE MACRO world_ranges(body) AS
    coalesce(list_sort(list_distinct(list_filter(
        list_transform(
            regexp_extract_all(
                _written_plainly(body), '(?:^|[^\\])"(?:\s|\\[nrt])*([0-9A-Fa-f:.]+\s*\\?/\s*[0-9]+)(?:\s|\\[nrt])*"', 1
            ),
            lambda _t_: replace(_t_, '\', '')
        ),
        lambda _t_: is_world(_t_)
    ))), [])
    """,
    f"CREATE MACRO is_broad_permission(name) AS regexp_full_match(name, '{'|'.join(_BROAD)}')",
    """
    CREATE MACRO broad_permissions(body) AS
    list_filter(body_every(body, 'permission_set_names'), lambda _p_: is_broad_permission(_p_))
    """,
)
"""The statements, in order: each uses only earlier ones."""
