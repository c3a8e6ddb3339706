"""Every labelled step of every incident is found by a saved query of its question."""

from __future__ import annotations

import os
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from story_archive import Stories, held, outcomes_over, story_archive
from trailkeep.cli.demo import INCIDENT_HELP, checked_incident
from trailkeep.demo.names import INCIDENTS, NO_INCIDENT
from trailkeep.demo.story import demo_organization
from trailkeep.demo.story.incidents import PLOTS
from trailkeep.errors import UsageError
from trailkeep.store import Archive

if TYPE_CHECKING:
    from trailkeep.demo.story import Organization

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUESTIONS = sorted(
    {
        step.question
        for name in INCIDENTS
        for step in demo_organization(now=NOW, days=1, events_per_day=1, incident=name).incident.steps  # type: ignore[union-attr]
    }
)


def an_organization(incident: str | None, *, seed: int = 1, days: int = 30, events_per_day: int = 40) -> Organization:
    return demo_organization(now=NOW, days=days, events_per_day=events_per_day, incident=incident, seed=seed)


@pytest.fixture(scope="session")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    path, told = folder / "stories", folder / "stories.pickle"
    with FileLock(folder / "stories.lock"):
        if not told.exists():
            organizations = {
                name: an_organization(name, seed=seed, days=45, events_per_day=40)
                for seed, name in enumerate(INCIDENTS, start=1)
            }
            for organization in organizations.values():
                story_archive(path, organization)
            told.write_bytes(pickle.dumps(organizations))
    organizations = pickle.loads(told.read_bytes())
    return Stories(archive=Archive.open(path), organizations=organizations, folder=own, now=NOW)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_step_is_found_by_a_query_of_its_question(stories: Stories, question: int) -> None:
    assert stories.not_found(question) == {}


def test_every_incident_wakes_somebody(stories: Stories) -> None:
    """By at least one finding of severity high or critical that names an event of one of its steps."""
    outcomes = outcomes_over(
        stories.archive,
        stories.organizations[INCIDENTS[0]],
        after=timedelta(days=14),
        severities=("high", "critical"),
    )
    assert [outcome.detection.name for outcome in outcomes if outcome.error] == []
    told = {each for outcome in outcomes for finding in outcome.findings for each in finding.event_ids}
    of_steps = {
        name: {each for step in story.incident.steps for each in step.event_ids}  # type: ignore[union-attr]
        for name, story in stories.organizations.items()
    }
    assert [name for name, ids in of_steps.items() if not ids & told] == []


class TestTheStories:
    def test_the_names_are_those_of_the_plots(self) -> None:
        assert set(INCIDENTS) == {"one-night", *PLOTS}

    @pytest.mark.parametrize("name", sorted(PLOTS))
    @pytest.mark.parametrize(("days", "hour"), [(1, 0), (1, 9), (2, 23), (30, 12)])
    def test_an_incident_fits_into_any_story(self, name: str, days: int, hour: int) -> None:
        now = datetime(2026, 3, 1, hour, tzinfo=UTC)
        story = demo_organization(now=now, days=days, events_per_day=20, incident=name, seed=days)
        incident = story.incident
        assert incident is not None
        assert incident.name == name
        assert {each for step in incident.steps for each in step.event_ids} <= set(held(story))
        assert now - timedelta(days=days) <= incident.began_at < incident.ended_at < now
        labels = [step.label for step in incident.steps]
        assert len(labels) == len(set(labels)) >= 6

    def test_keys_that_change_on_the_morning_before_the_story_stay_as_they_were(self) -> None:
        """The story begins at noon of a day on which each application gets a new key."""
        now = datetime(2026, 3, 31, 12, tzinfo=UTC)
        story = demo_organization(now=now, days=29, events_per_day=20, incident=NO_INCIDENT)
        assert {each["id"] for each in story.applications} <= {each.get("application_id") for each in story.api_keys}

    @pytest.mark.parametrize("name", sorted(PLOTS))
    def test_the_same_seed_tells_the_same_and_another_seed_tells_another(self, name: str) -> None:
        one, same, other = (an_organization(name, seed=seed, days=5) for seed in (1, 1, 2))
        assert one.events == same.events
        assert one.incident == same.incident
        assert one.incident is not None
        assert other.incident is not None
        assert not set(one.incident.principal_ids) & set(other.incident.principal_ids)
        assert set(one.events["api", "fr-par"]).isdisjoint(other.events["api", "fr-par"])

    @pytest.mark.parametrize("name", sorted(PLOTS))
    def test_the_events_of_a_step_are_told_in_order_and_nobody_else_has_the_attacker_s_address(self, name: str) -> None:
        story = an_organization(name, seed=3)
        events = held(story)
        assert story.incident is not None
        for step in story.incident.steps:
            times = [events[each]["recorded_at"][:26] for each in step.event_ids]
            assert times == sorted(times), step.label
        began = story.incident.began_at.isoformat()[:19]
        seen = [event for event in events.values() if event.get("source_ip") in story.incident.attacker_ips]
        assert all(event["recorded_at"] >= began for event in seen)
        acted = {event["principal"]["id"] for event in seen if "principal" in event}
        assert acted <= set(story.incident.principal_ids)

    def test_events_of_kubernetes_carry_no_address(self) -> None:
        story = an_organization("kubernetes-acl-token")
        of_clusters = [each for each in held(story).values() if each.get("product_name") == "kubernetes"]
        assert len(of_clusters) > 50
        assert not any("source_ip" in each for each in of_clusters)

    def test_every_method_that_a_story_uses_can_be_logged(self) -> None:
        for name in (*PLOTS, NO_INCIDENT):
            story = an_organization(name, days=60)
            known = {
                (product["name"], method)
                for product in story.products["fr-par"]
                for service in product["services"]
                for method in service["methods"]
            }
            used = {
                (each["product_name"], each["method_name"]) for each in held(story).values() if "method_name" in each
            }
            assert used <= known

    def test_an_unknown_incident_is_refused(self) -> None:
        with pytest.raises(ValueError, match="there is no incident 'flood'"):
            an_organization("flood")

    def test_ordinary_life_has_no_incident(self) -> None:
        assert an_organization(None).incident is None
        assert an_organization(NO_INCIDENT).events == an_organization(None).events


def test_ordinary_life_gives_at_most_one_false_alarm_in_ten_thousand_events(tmp_path: Path) -> None:
    organization = demo_organization(now=NOW, days=75, incident=None, seed=1)
    archive = story_archive(tmp_path / "data", organization)
    settled = timedelta(days=21)
    outcomes = outcomes_over(archive, organization, after=settled, severities=("medium", "high", "critical"))
    assert [outcome.detection.name for outcome in outcomes if outcome.error] == []
    alarms = {outcome.detection.name: len(outcome.findings) for outcome in outcomes if outcome.findings}
    begin = (NOW - timedelta(days=75) + settled).timestamp() * 1e9
    events = sum(at >= begin for times in organization.times.values() for at in times)
    assert sum(alarms.values()) <= events / 10_000, alarms


class TestTheCommandLine:
    def test_the_help_names_every_incident(self) -> None:
        assert all(name in INCIDENT_HELP for name in (*INCIDENTS, NO_INCIDENT))

    @pytest.mark.parametrize("name", [*INCIDENTS, NO_INCIDENT])
    def test_each_of_them_is_taken(self, name: str) -> None:
        assert checked_incident(name) == name

    @pytest.mark.parametrize(("name", "hint"), [("minin", "Did you mean mining?"), ("", "Known are one-night")])
    def test_another_is_refused_with_the_nearest(self, name: str, hint: str) -> None:
        with pytest.raises(UsageError) as refused:
            checked_incident(name)
        assert hint in str(refused.value.hint)
