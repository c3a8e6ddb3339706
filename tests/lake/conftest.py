"""What the tests with lakes share.

They need pyiceberg and moto, which only ``make test-lake`` installs, and are skipped with a reason where these are
missing. Their files are named so that a plain run of the tests does not collect them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lakes import add

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.store import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return add(tmp_path / "it's an archive é", 0)
