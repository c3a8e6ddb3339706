"""The official SDK reads all of the emulator, and its errors arrive as the SDK's own."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from loopback import NOW, sdk_client
from scaleway.account.v3 import AccountV3ProjectAPI
from scaleway.audit_trail.v1alpha1 import AuditTrailV1Alpha1API
from scaleway.audit_trail.v1alpha1.types import Resource, ResourceType
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway_core.api import ScalewayException

from trailkeep.demo.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trailkeep.demo.emulator import Emulator
    from trailkeep.demo.serve import Served
    from trailkeep.demo.story import Organization

SINCE = NOW - timedelta(days=30)
CALLS = {
    "api": "list_events",
    "authentication": "list_authentication_events",
    "system": "list_system_events",
    "combined": "list_combined_events",
}


@pytest.fixture
def audit_trail(story_served: Served, story_emulator: Emulator) -> Iterator[AuditTrailV1Alpha1API]:
    yield AuditTrailV1Alpha1API(sdk_client(story_served, story_emulator))
    story_emulator.faults = Faults()


@pytest.fixture
def iam(story_served: Served, story_emulator: Emulator) -> Iterator[IamV1Alpha1API]:
    yield IamV1Alpha1API(sdk_client(story_served, story_emulator))
    story_emulator.faults = Faults()


def read_all(call: Callable[..., Any], **asked: Any) -> list[Any]:
    events, token = [], None
    while True:
        page = call(recorded_after=SINCE, page_size=100, page_token=token, **asked)
        events += page.events
        token = page.next_page_token
        if not token:
            return events


def inner(event: Any) -> Any:
    return getattr(event, "api", None) or getattr(event, "auth", None) or getattr(event, "system", None) or event


@pytest.mark.parametrize("order", ["recorded_at_asc", "recorded_at_desc"])
@pytest.mark.parametrize("region", ["fr-par", "nl-ams", "pl-waw"])
@pytest.mark.parametrize("kind", CALLS)
def test_the_sdk_lists_every_event_in_order(
    audit_trail: AuditTrailV1Alpha1API, story_emulator: Emulator, kind: str, region: str, order: str
) -> None:
    listed = read_all(getattr(audit_trail, CALLS[kind]), region=region, order_by=order)
    truth = [json.loads(raw) for raw in story_emulator.truth(kind, region)]
    expected = [next(iter(each.values())) if kind == "combined" else each for each in truth]
    if order == "recorded_at_desc":
        expected.reverse()
    assert [inner(event).id for event in listed] == [event["id"] for event in expected]
    assert [inner(event).recorded_at.replace(microsecond=0) for event in listed] == [
        datetime.fromisoformat(event["recorded_at"][:19]).replace(tzinfo=UTC) for event in expected
    ]


def test_every_event_has_the_fields_and_values_that_the_sdk_knows(
    audit_trail: AuditTrailV1Alpha1API, organization: Organization
) -> None:
    for event in read_all(audit_trail.list_events, region="fr-par"):
        assert event.principal
        assert event.service_name.startswith("scaleway.")
        assert event.organization_id == organization.organization_id
        assert isinstance(event.request_body, dict)
    for event in read_all(audit_trail.list_authentication_events, region="fr-par"):
        assert event.result in {"success", "failure"}
        assert event.method in {"password", "oauth2", "authentication_code"}
        assert (event.failure_reason == "unknown_failure_reason") == (event.result == "success")
    for event in read_all(audit_trail.list_system_events, region="fr-par"):
        assert event.kind in {"cron", "notification"}


def test_resource_types_and_facts_are_those_of_the_sdk(organization: Organization) -> None:
    known = {each.name for each in fields(Resource)}
    types = {each.value for each in ResourceType}
    for raws in organization.events.values():
        for resource in (each for raw in raws for each in json.loads(raw)["resources"]):
            assert resource["type"] in types
            assert set(resource) - {"type"} <= known


def test_filters_select_what_they_name(audit_trail: AuditTrailV1Alpha1API, organization: Organization) -> None:
    servers = read_all(
        audit_trail.list_events, region="pl-waw", method_name="CreateServer", source_ip="2001:db8:bad:1::66"
    )
    newest_first = organization.incident.step("gpu-servers").event_ids[::-1]
    assert [event.id for event in servers] == list(newest_first)
    resource = servers[-1].resources[0]
    life = read_all(audit_trail.list_events, region="pl-waw", resource_id=resource.id, resource_type="instance_server")
    assert [event.method_name for event in reversed(life)][:3] == ["CreateServer", "SetServerUserData", "ServerAction"]
    denied = read_all(
        audit_trail.list_events,
        status=403,
        principal_id=organization.incident.stolen_application_id,
        product_name="iam",
    )
    assert {event.method_name for event in denied} == {"CreateUser", "CreateApplication", "UpdateUser", "CreateSSHKey"}
    by_project = read_all(audit_trail.list_combined_events, project_id=organization.projects[1]["id"])
    assert {inner(event).project_id for event in by_project} == {organization.projects[1]["id"]}


def test_an_unset_filter_of_the_sdk_selects_everything(audit_trail: AuditTrailV1Alpha1API) -> None:
    everything = read_all(audit_trail.list_events)
    assert len(read_all(audit_trail.list_events, resource_type="unknown_type", status=0)) == len(everything)


def test_products_and_other_lists_of_the_audit_trail(
    audit_trail: AuditTrailV1Alpha1API, organization: Organization
) -> None:
    for region in organization.regions:
        listed = audit_trail.list_products(region=region)
        assert listed.total_count == len(listed.products) == len(organization.products[region])
    assert {"iam", "account"} <= {product.name for product in audit_trail.list_products().products}
    assert "iam" not in {product.name for product in audit_trail.list_products(region="nl-ams").products}
    assert len(audit_trail.list_alert_rules_all()) == 5
    assert [job.name for job in audit_trail.list_export_jobs_all(region="nl-ams")] == ["to-bucket"]
    assert len(audit_trail.get_last_events_overview().last_events) == 5


def test_every_logged_method_is_among_the_products(organization: Organization) -> None:
    for (kind, region), raws in organization.events.items():
        if kind != "api":
            continue
        logged = {
            (product["name"], method)
            for product in organization.products[region]
            for service in product["services"]
            for method in service["methods"]
        }
        seen = {(event["product_name"], event["method_name"]) for event in map(json.loads, raws)}
        assert seen <= logged


@pytest.mark.parametrize("page_size", [3, 100])
def test_the_sdk_lists_the_directory(
    iam: IamV1Alpha1API, story_served: Served, story_emulator: Emulator, organization: Organization, page_size: int
) -> None:
    def ids(records: Any) -> list[str]:
        return [record["id"] for record in records]

    asked = {"page_size": page_size}
    assert [each.id for each in iam.list_users_all(**asked)] == ids(organization.users)
    assert [each.id for each in iam.list_applications_all(**asked)] == ids(organization.applications)
    assert [each.id for each in iam.list_groups_all(**asked)] == ids(organization.groups)
    assert [each.id for each in iam.list_policies_all(**asked)] == ids(organization.policies)
    assert [each.id for each in iam.list_ssh_keys_all(**asked)] == ids(organization.ssh_keys)
    assert [each.id for each in iam.list_logs_all(**asked)] == ids(organization.logs)
    keys = [key["access_key"] for key in organization.api_keys]
    assert [each.access_key for each in iam.list_api_keys_all(**asked)] == keys
    for policy in organization.policies:
        rules = iam.list_rules_all(policy_id=policy["id"], **asked)
        assert [rule.id for rule in rules] == ids(organization.rules[policy["id"]])
    projects = AccountV3ProjectAPI(sdk_client(story_served, story_emulator)).list_projects_all(**asked)
    assert [each.id for each in projects] == ids(organization.projects)


def test_a_total_count_comes_with_every_page_of_the_directory(iam: IamV1Alpha1API, organization: Organization) -> None:
    assert iam.list_users(page=2, page_size=5).total_count == len(organization.users)


def error_of(call: Callable[..., Any], **asked: Any) -> tuple[int | None, dict[str, Any]]:
    with pytest.raises(ScalewayException) as caught:
        call(**asked)
    return caught.value.status_code, caught.value.response.json()


def test_a_wrong_key_is_denied_authentication(story_served: Served, story_emulator: Emulator) -> None:
    stranger = sdk_client(story_served, story_emulator, secret_key="11111111-1111-4111-8111-111111111111")
    status, error = error_of(AuditTrailV1Alpha1API(stranger).list_events)
    assert (status, error["type"], error["reason"]) == (401, "denied_authentication", "not_found")


def test_a_missing_permission_set_is_named_with_resource_and_action(
    audit_trail: AuditTrailV1Alpha1API, iam: IamV1Alpha1API, story_emulator: Emulator
) -> None:
    story_emulator.faults = Faults(denied_permissions={"AuditTrailReadOnly"})
    status, error = error_of(audit_trail.list_events)
    assert (status, error["type"]) == (403, "permissions_denied")
    assert error["details"] == [{"action": "read", "resource": "audit_trail_event"}]
    assert iam.list_users().users
    story_emulator.faults = Faults(denied_permissions={"IAMReadOnly"})
    assert error_of(iam.list_users)[1]["details"] == [{"action": "read", "resource": "user"}]
    assert audit_trail.list_events(recorded_after=SINCE).events


def test_another_organization_is_denied(audit_trail: AuditTrailV1Alpha1API, iam: IamV1Alpha1API) -> None:
    other = "11111111-1111-4111-8111-111111111111"
    assert error_of(audit_trail.list_events, organization_id=other)[0] == 403
    assert error_of(iam.list_users, organization_id=other)[0] == 403


@pytest.mark.parametrize(
    ("asked", "argument", "reason"),
    [
        ({"organization_id": "mine"}, "organization_id", "format"),
        ({"recorded_after": "yesterday"}, "recorded_after", "format"),
        ({"order_by": "id_asc"}, "order_by", "format"),
        ({"page_token": "made-up"}, "page_token", "constraint"),
        ({"page_token": "é"}, "page_token", "constraint"),
        ({"page_size": -1}, "page_size", "format"),
    ],
)
def test_a_bad_argument_is_named_with_its_reason(
    audit_trail: AuditTrailV1Alpha1API, asked: dict[str, Any], argument: str, reason: str
) -> None:
    status, error = error_of(audit_trail.list_events, **asked)
    assert (status, error["type"]) == (400, "invalid_arguments")
    assert [(each["argument_name"], each["reason"]) for each in error["details"]] == [(argument, reason)]


def test_a_region_that_does_not_exist_is_not_found(audit_trail: AuditTrailV1Alpha1API) -> None:
    status, error = error_of(audit_trail.list_events, region="it-mil")
    assert (status, error["type"], error["resource"]) == (404, "not_found", "region")


def test_custom_alert_rules_are_an_unknown_method(audit_trail: AuditTrailV1Alpha1API) -> None:
    assert error_of(audit_trail.list_custom_alert_rules)[0] == 501
