"""A small story served on loopback, and an empty emulator that each test fills."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loopback import NOW, RawClient

from trailkeep.demo.emulator import Emulator
from trailkeep.demo.serve import serve
from trailkeep.demo.story import Organization, demo_organization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.demo.serve import Served


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Real answers of the API, byte for byte."""
    return Path(__file__).parent.parent / "fixtures" / "recordings"


@pytest.fixture(scope="session")
def organization() -> Organization:
    return demo_organization(now=NOW, days=12, events_per_day=90)


@pytest.fixture(scope="session")
def story_emulator(organization: Organization) -> Emulator:
    return Emulator(organization, clock=lambda: NOW)


@pytest.fixture(scope="session")
def story_served(story_emulator: Emulator) -> Iterator[Served]:
    with serve(story_emulator) as served:
        yield served


@pytest.fixture
def emulator() -> Emulator:
    """An empty one, whose events each test adds."""
    return Emulator(clock=lambda: NOW)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[RawClient]:
    with serve(emulator) as served:
        raw = RawClient(served, emulator)
        yield raw
        raw.connection.close()
