"""The shared macros and views mean the same on DuckDB and on Spark, whatever the bodies hold."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from comparing import compare

from archives import NOW, Archives, a_resource
from trailkeep.analysis import Question

if TYPE_CHECKING:
    from trailkeep.store import Archive

BODIES = [
    {"application_id": "a", "user_ids": ["x", None, "y"], "rules": [{"permission_set_names": ["IAMManager", "B"]}]},
    {"applicationId": "b", "userIds": ["z"], "rules": [{"permissionSetNames": ["B", None, "A"]}, {"ip": "0.0.0.0/0"}]},
    {"application_id": "", "userId": 5, "user_ids": "x", "rules": [{"permission_set_names": "ProjectManager"}]},
    {"expression": {"name": "n"}, "ip": [" ::0/00 ", "10.0.0.0/8", "not 0.0.0.0/0"], "permission_set_names": {}},
    {"application_id": ["l"], "expires_at": None, "user_id": 'it\'s \\ "q"', "permissionSetNames": ["[x", 'say "hi"']},
    [],
    "0.0.0.0/1",
    None,
]
ADDRESSES = ["192.0.2.7", "2001:DB8:0:1::5", "::1", "::ffff:192.0.2.9", "1:0:0:4::", "x", "", None]

QUESTIONS = {
    "fields of bodies": """
        SELECT id, body_text(request_body, 'application_id') AS a, body_text(request_body, 'expression.name') AS n,
            body_text(request_body, 'user_id') AS u, body_list(request_body, 'user_ids') AS us,
            body_every(request_body, 'permission_set_names') AS every, broad_permissions(request_body) AS broad,
            world_ranges(request_body) AS world
        FROM api_events ORDER BY id
    """,
    "addresses": """
        SELECT id, ip_network(source_ip) AS network, ip_label(source_ip) AS label, is_world(source_ip || '/0') AS world
        FROM api_events ORDER BY id
    """,
    "resources": """
        SELECT id, resource_of(resources, 'iam_user') AS one, resources_of(resources, 'iam_user') AS several,
            resource_ids(resources) AS ids, resource_names(resources) AS names, login_user(resources) AS who,
            outcome_of(status_code) AS outcome, is_denied(status_code) AS denied
        FROM api_events ORDER BY id
    """,
    "bursts": """
        SELECT source_ip, recorded_at, id, begins, within, begins_session,
            burst_number(source_ip, recorded_at, id, begins) AS burst
        FROM (
            SELECT source_ip, recorded_at, id,
                begins_burst(source_ip, recorded_at, id, INTERVAL '2 minutes') AS begins,
                events_within(source_ip, recorded_at, INTERVAL '2 minutes') AS within,
                begins_session(principal_id, source_ip, user_agent, recorded_at, id) AS begins_session
            FROM api_events
        )
        ORDER BY source_ip NULLS LAST, recorded_at, id
    """,
    "logins": "SELECT * FROM logins ORDER BY id",
    "grants": "SELECT * FROM grants ORDER BY id",
    "creations": "SELECT * EXCLUDE (resources) FROM creations ORDER BY id",
    "first seen": """
        SELECT * FROM first_seen
        WHERE subject_type = 'principal' AND dimension IN ('activity', 'network', 'country')
        ORDER BY ALL
    """,
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archives(tmp_path_factory.mktemp("macros") / "data")
    methods = ["CreatePolicy", "CreateAPIKey", "AddGroupMember", "CreateUser", "CreateToken", "CreateApplication"]
    for number in range(72):
        made.api(
            NOW - timedelta(minutes=number),
            methods[number % 6],
            request_body=None if number % 9 == 8 else json.dumps(BODIES[number % 8]),
            source_ip=ADDRESSES[number // 3 % 8],
            principal_id=None if number % 10 == 0 else f"p{number % 4}",
            user_agent=["curl/8", "Mozilla/5.0", None][number % 3],
            status_code=[200, 403, 500, None][number % 4],
            product_name=["iam", "rdb", None][number // 2 % 3],
            service_name=None,
            resources=[a_resource(kind, f"{kind} {number}") for kind in ("iam_group", "iam_user", "iam_api_key")]
            if number % 5
            else None,
        )
    for number in range(12):
        made.login(NOW - timedelta(hours=number), f"u{number % 2}", ["success", "failure"][number % 2])
    made.login(NOW, None, "failure", source_ip=None, country_code=None)
    return made.commit()


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_engines_answer_alike(archive: Archive, name: str) -> None:
    outcome = compare(archive, Question(sql=QUESTIONS[name]), NOW)
    assert outcome.rows
    assert outcome.refused is None
    assert outcome.difference is None
