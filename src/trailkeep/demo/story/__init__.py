"""A made-up Organization: people and machines at work, and one incident to find in them, or none."""

from trailkeep.demo.names import INCIDENTS, NO_INCIDENT
from trailkeep.demo.story.generate import demo_organization
from trailkeep.demo.story.model import Incident, Organization, Step

__all__ = ["INCIDENTS", "NO_INCIDENT", "Incident", "Organization", "Step", "demo_organization"]
