"""A made-up Organization: ninety days of people and machines at work, and one incident to find in them."""

from trailkeep.demo.story.generate import demo_organization
from trailkeep.demo.story.model import Incident, Organization, Step

__all__ = ["Incident", "Organization", "Step", "demo_organization"]
