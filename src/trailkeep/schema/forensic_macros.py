"""What the macros over request bodies, resources and time take, give and mean."""

from __future__ import annotations

from trailkeep.schema.macro import Macro
from trailkeep.schema.tables import RESOURCE, engine_type

_RESOURCES = ("resources", f"{engine_type(RESOURCE)}[]")
_BODY = ("body", "VARCHAR")
_NAME = ("name", "VARCHAR")
_TWO = (
    "[{'id': '1', 'type': 'iam_group', 'name': 'g'}, {'id': '2', 'type': 'iam_user', 'name': 'u'},"
    " {'id': '3', 'type': 'iam_user', 'name': 'v'}]"
)
_RULES = """'{"rules": [{"permission_set_names": ["B", "A"]}, {"permissionSetNames": ["IAMManager"]}]}'"""
_MOMENT = "TIMESTAMP '2026-03-01 12:00:00'"

OF_BODIES = (
    Macro(
        name="body_text",
        arguments=(_BODY, _NAME),
        returns="VARCHAR",
        description=(
            "A field of a request body as text. The name is written in snake_case and found in camelCase, too; dots"
            " lead into objects. NULL where the field is missing, null or empty; a list or an object is its JSON text."
        ),
        examples=(
            ("""body_text('{"application_id": "a"}', 'application_id')""", "'a'"),
            ("""body_text('{"applicationId": "a"}', 'application_id')""", "'a'"),
            ("""body_text('{"expression": {"name": 7}}', 'expression.name')""", "'7'"),
            ("body_text('[1]', 'name')", "NULL"),
        ),
    ),
    Macro(
        name="body_list",
        arguments=(_BODY, _NAME),
        returns="VARCHAR[]",
        description=(
            "The elements of a list in a request body as texts, in order, without nulls. The name is a literal in"
            " snake_case, found in camelCase, too. [] where there is no such list."
        ),
        examples=(
            ("""body_list('{"userIds": ["b", "a", null]}', 'user_ids')""", "['b', 'a']"),
            ("""body_list('{"user_ids": "b"}', 'user_ids')""", "[]"),
            ("body_list(NULL, 'user_ids')", "[]"),
        ),
    ),
    Macro(
        name="body_every",
        arguments=(_BODY, _NAME),
        returns="VARCHAR[]",
        description=(
            "All texts of a field at any depth of a request body, and those of its lists, each once and sorted. The"
            " name is a literal in snake_case, found in camelCase, too. [] where there are none."
        ),
        examples=((f"body_every({_RULES}, 'permission_set_names')", "['A', 'B', 'IAMManager']"),),
    ),
    Macro(
        name="world_ranges",
        arguments=(_BODY,),
        returns="VARCHAR[]",
        description=(
            "The texts anywhere in a request body that are networks of (nearly) everything, as is_world says it, each"
            " once and sorted. A text that only mentions one is not among them."
        ),
        examples=(
            ("""world_ranges('{"rules": [{"ip": "0.0.0.0/0"}, {"ip": "::0/00"}]}')""", "['0.0.0.0/0', '::0/00']"),
            ("""world_ranges('{"name": "not 0.0.0.0/0"}')""", "[]"),
        ),
    ),
    Macro(
        name="is_world",
        arguments=(("network", "VARCHAR"),),
        returns="BOOLEAN",
        description=(
            "Whether a text is a network of an eighth of all addresses or more: a length of 0 to 3, so that the two"
            " halves of everything count. An IPv4 network may be written as IPv6. NULL for NULL."
        ),
        examples=(
            ("is_world('0.0.0.0/0')", "true"),
            ("is_world('128.0.0.0/1')", "true"),
            ("is_world('::/0')", "true"),
            ("is_world('10.0.0.0/8')", "false"),
            ("is_world('any')", "false"),
        ),
    ),
    Macro(
        name="is_broad_permission",
        arguments=(_NAME,),
        returns="BOOLEAN",
        description=(
            "Whether a permission set amounts to control of the Organization (OrganizationManager), of its Projects"
            " (ProjectManager), of identities (IAMManager and IAM...Manager), of money (BillingManager), of a cluster"
            " (KubernetesSystemMastersGroupAccess) or of all of one product (...FullAccess). NULL for NULL."
        ),
        examples=(
            ("is_broad_permission('IAMManager')", "true"),
            ("is_broad_permission('SecretManagerFullAccess')", "true"),
            ("is_broad_permission('InstancesReadOnly')", "false"),
        ),
    ),
    Macro(
        name="broad_permissions",
        arguments=(_BODY,),
        returns="VARCHAR[]",
        description="The broad ones among the permission_set_names anywhere in a request body, sorted; [] where none.",
        examples=((f"broad_permissions({_RULES})", "['IAMManager']"), ("broad_permissions(NULL)", "[]")),
    ),
)

OF_RESOURCES = (
    Macro(
        name="resource_of",
        arguments=(_RESOURCES, ("kind", "VARCHAR")),
        returns="VARCHAR",
        description="The id of an event's first resource of a type; NULL where there is none.",
        examples=((f"resource_of({_TWO}, 'iam_user')", "'2'"), (f"resource_of({_TWO}, 'iam_policy')", "NULL")),
    ),
    Macro(
        name="resources_of",
        arguments=(_RESOURCES, ("kind", "VARCHAR")),
        returns="VARCHAR[]",
        description="The ids of an event's resources of a type, in the event's order; [] where there are none.",
        examples=((f"resources_of({_TWO}, 'iam_user')", "['2', '3']"),),
    ),
    Macro(
        name="resource_ids",
        arguments=(_RESOURCES,),
        returns="VARCHAR[]",
        description="The ids of an event's resources, in its order, NULL for one without; [] where there are none.",
        examples=((f"resource_ids({_TWO})", "['1', '2', '3']"),),
    ),
    Macro(
        name="resource_names",
        arguments=(_RESOURCES,),
        returns="VARCHAR[]",
        description="The names of an event's resources, in its order, NULL for one without; [] where there are none.",
        examples=((f"resource_names({_TWO})", "['g', 'u', 'v']"),),
    ),
    Macro(
        name="login_user",
        arguments=(_RESOURCES,),
        returns="VARCHAR",
        description="The id of an event's first user, of IAM or the account; NULL where there is none.",
        examples=((f"login_user({_TWO})", "'2'"),),
    ),
)

OF_TIME = (
    Macro(
        name="events_within",
        arguments=(("who", "VARCHAR"), ("moment", "TIMESTAMP"), ("width", "INTERVAL")),
        returns="BIGINT",
        description=(
            "A window function: how many rows of `who` lie between `width` before this row, which counts, and this"
            " row. It slides; rows whose `who` is NULL count together."
        ),
        examples=((f"events_within('a', {_MOMENT}, INTERVAL 5 MINUTE)", "1"),),
    ),
    Macro(
        name="begins_burst",
        arguments=(("who", "VARCHAR"), ("moment", "TIMESTAMP"), ("id", "VARCHAR"), ("gap", "INTERVAL")),
        returns="BOOLEAN",
        description=(
            "A window function: whether `who` has no row in the `gap` before this one. One exactly `gap` before"
            " belongs to the same burst. Rows of one moment are in the order of `id`."
        ),
        examples=((f"begins_burst('a', {_MOMENT}, 'e', INTERVAL 5 MINUTE)", "true"),),
    ),
    Macro(
        name="burst_number",
        arguments=(("who", "VARCHAR"), ("moment", "TIMESTAMP"), ("id", "VARCHAR"), ("begins", "BOOLEAN")),
        returns="BIGINT",
        description=(
            "A window function: the number of the row's burst among those of `who`, from 1. `begins` is a column that"
            " a subselect made with begins_burst or begins_session."
        ),
        examples=((f"burst_number('a', {_MOMENT}, 'e', true)", "1"),),
    ),
    Macro(
        name="begins_session",
        arguments=(
            ("actor", "VARCHAR"),
            ("address", "VARCHAR"),
            ("agent", "VARCHAR"),
            ("moment", "TIMESTAMP"),
            ("id", "VARCHAR"),
        ),
        returns="BOOLEAN",
        description=(
            "A window function: whether nothing of the same actor, address and user agent lies in the 30 minutes"
            " before. NULLs are values of their own."
        ),
        examples=((f"begins_session('a', NULL, 'curl', {_MOMENT}, 'e')", "true"),),
    ),
)
