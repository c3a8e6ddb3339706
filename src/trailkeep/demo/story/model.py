"""What a story consists of: records, events as they are served, and the labelled incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

Record = dict[str, Any]
Stream = tuple[str, str]
"""A kind (api, authentication or system) and a region."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody at work from one place with one tool."""

    principal: str
    source_ip: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened in the incident, and the events that show it."""

    label: str
    """A short name such as ``brute-force``, unique within the incident."""
    story: str
    """What happened, in a sentence."""
    question: int
    """The number of the investigator's question whose answer must contain these events."""
    event_ids: tuple[str, ...]
    """In order of time; empty where the trail cannot show it, or where the absence of events is the trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The needle in the haystack."""

    name: str
    """The one of `INCIDENTS` that it is."""
    began_at: datetime
    ended_at: datetime
    """The last event of the attacker or of the responders."""
    principal_ids: tuple[str, ...]
    """Everybody that the attacker acted as, in the order of their first part; the first is where it began."""
    attacker_ips: tuple[str, ...]
    """No one else ever comes from these; empty for somebody at the own desk."""
    steps: tuple[Step, ...]
    stolen_user_id: str | None = None
    stolen_application_id: str | None = None
    backdoor_application_id: str | None = None

    def step(self, label: str) -> Step:
        """The step with this label; raises KeyError where there is none."""
        for step in self.steps:
            if step.label == label:
                return step
        raise KeyError(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Everything the API would tell about one Organization at the moment `now`.

    Records have the fields of the official SDK's types, as JSON values.
    """

    organization_id: str
    now: datetime
    days: int
    regions: tuple[str, ...]
    users: Sequence[Record]
    applications: Sequence[Record]
    groups: Sequence[Record]
    api_keys: Sequence[Record]
    policies: Sequence[Record]
    rules: Mapping[str, Sequence[Record]]
    """By policy id."""
    projects: Sequence[Record]
    ssh_keys: Sequence[Record]
    logs: Sequence[Record]
    """IAM's own log of changes: a second record beside the trail, newest first."""
    products: Mapping[str, Sequence[Record]]
    """What can be logged, by region."""
    export_jobs: Mapping[str, Sequence[Record]]
    """By region."""
    events: Mapping[Stream, Sequence[bytes]]
    """The JSON of each event exactly as served, oldest first."""
    times: Mapping[Stream, Sequence[int]]
    """The recorded_at of the same events, in nanoseconds since 1970."""
    incident: Incident | None
    """None where nothing but ordinary life was asked for."""
