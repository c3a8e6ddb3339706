"""What saved queries say of the demo's incident; tests/test_stories.py tells that each of its steps is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from demo_archive import DemoArchive, clock, demo_archive
from story_archive import QUERIES, ids_in
from trailkeep.analysis import Question, open_result
from trailkeep.store import Archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)


def rows(demo: DemoArchive, name: str, **given: str) -> list[dict[str, Any]]:
    question = Question.of(QUERIES[name], given=given)
    with open_result(Archive.open(demo.path), question, now=clock()) as result:
        return [row for batch in result.batches() for row in batch.to_pylist()]


def ids(found: list[dict[str, Any]]) -> set[str]:
    """Every event id that rows name, in whichever of the columns for it."""
    return {each for row in found for each in ids_in(row)}


def by_attacker(demo: DemoArchive, name: str) -> list[dict[str, Any]]:
    """The rows about the attacker's own application."""
    backdoor = demo.organization.incident.backdoor_application_id
    return [row for row in rows(demo, name) if row["principal_id"] == backdoor]


class TestABurstIsOneRowOfFigures:
    def test_failed_logins(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        (found,) = [row for row in rows(demo, "access/login-failures") if row["source_ip"] == incident.attacker_ips[0]]
        assert found["failures"] == len(incident.step("stuffing").event_ids)
        assert found["users"] > 5
        assert found["successes"] == 1
        assert found["countries"] == ["SC"]

    def test_denied_calls(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        (found,) = rows(demo, "discovery/denied-bursts")
        assert found["principal_id"] == incident.stolen_application_id
        assert found["events"] == len(incident.step("denied-probes").event_ids)
        assert found["source_ips"] == [incident.attacker_ips[1]]

    def test_servers(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        (found,) = by_attacker(demo, "impact/compute-spike")
        assert (found["events"], found["succeeded"]) == (len(incident.step("gpu-servers").event_ids),) * 2
        assert (found["localities"], found["machine_types"]) == (["pl-waw-2"], ["H100-2-80G"])

    def test_deletions(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        (found,) = by_attacker(demo, "impact/mass-deletes")
        assert found["events"] == len(incident.step("mass-delete").event_ids)
        assert found["methods"] == ["DeleteDatabaseBackup", "DeleteServer"]


class TestQueriesAboutAnything:
    def test_an_attacker_s_address_shows_all_that_came_from_it_and_nothing_else(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        found = rows(demo, "scope/address-activity", address=incident.attacker_ips[1])
        assert set(incident.step("denied-probes").event_ids) <= ids(found)
        assert set(incident.step("keys-created").event_ids) <= ids(found)
        assert {row["source_ip"] for row in found} == {incident.attacker_ips[1]}
        assert {row["actor_id"] for row in found} == {incident.stolen_application_id}

    def test_a_list_of_indicators_shows_what_of_it_was_seen_and_where(self, demo: DemoArchive, tmp_path: Path) -> None:
        incident = demo.organization.incident
        network = incident.attacker_ips[1].rpartition(".")[0]
        listed = tmp_path / "indicators.txt"
        listed.write_text(
            f"# from a report\n{incident.attacker_ips[0].replace('.', '[.]')}\n{network}.0/24  # a network\n"
            f"{incident.backdoor_application_id.upper()}\nnever-seen.example\n"
        )
        found = rows(demo, "scope/indicators", indicators=str(listed))
        assert {row["indicator"] for row in found} == {
            incident.attacker_ips[0],
            f"{network}.0/24",
            incident.backdoor_application_id,
        }
        (address,) = [row for row in found if row["seen"] == incident.attacker_ips[1]]
        everything = rows(demo, "scope/address-activity", address=incident.attacker_ips[1])
        assert (address["seen_as"], address["events"]) == ("address", len(everything))
        assert (address["first_at"], address["last_at"]) == (
            everything[0]["recorded_at"],
            everything[-1]["recorded_at"],
        )
        places = {row["seen_as"] for row in found if row["indicator"] == incident.backdoor_application_id}
        assert places == {"principal", "resource"}

    def test_a_stolen_key_is_told_by_its_second_origin(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        found = rows(demo, "scope/principal-origins", principal=incident.stolen_application_id)
        (attacker,) = [row for row in found if row["source_ip"] == incident.attacker_ips[1]]
        assert attacker["denied"] == len(incident.step("denied-probes").event_ids)
        assert len(found) > 1

    def test_the_backdoor_s_timeline_begins_with_its_creation(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        found = rows(demo, "scope/principal-timeline", principal=incident.backdoor_application_id)
        assert found[0]["id"] == incident.step("application-created").event_ids[0]
        for label in ("ssh-key", "export-deleted", "gpu-servers", "backups-destroyed", "after-containment"):
            assert set(incident.step(label).event_ids) <= ids(found), label

    def test_a_key_s_history_is_its_making_and_its_end(self, demo: DemoArchive) -> None:
        incident = demo.organization.incident
        made = {row["id"]: row["access_keys"] for row in rows(demo, "persistence/api-keys-created")}
        key, second = (made[each][0] for each in incident.step("keys-created").event_ids)
        found = rows(demo, "scope/resource-history", resource=key)
        assert [row["action"] for row in found] == ["CreateAPIKey", "DeleteAPIKey"]
        assert found[1]["event_id"] in incident.step("containment").event_ids
        assert [row["action"] for row in rows(demo, "scope/resource-history", resource=second)] == ["CreateAPIKey"]

    def test_what_is_held_counts_every_event_and_misses_nothing(self, demo: DemoArchive) -> None:
        found = rows(demo, "coverage/what-is-held")
        assert {row["state"] for row in found} == {"held"}
        held = sum(row["events"] for row in found)
        told = sum(map(len, demo.organization.events.values())) + len(demo.organization.logs)
        # The oldest seconds have left the 90 days since.
        assert told - 25 <= held <= told
