"""An archive that any released version wrote still opens, verifies, answers and grows."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from make_fixture_archive import BORN, emulator_at, sync
from trailkeep.analysis import Question, open_result
from trailkeep.store import Archive
from trailkeep.verify import verify_archive

ARCHIVES = sorted((Path(__file__).parent / "fixtures" / "archives").iterdir())


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "data"))


def ids(archive: Path) -> list[str]:
    question = Question(sql="SELECT id FROM events WHERE kind = 'api' ORDER BY recorded_at, id")
    with open_result(Archive.open(archive), question, now=BORN) as result:
        return [row["id"] for batch in result.batches() for row in batch.to_pylist()]


def count(archive: Path, table: str) -> int:
    with open_result(Archive.open(archive), Question(sql=f"SELECT count(*) AS n FROM {table}"), now=BORN) as result:
        return next(result.batches()).to_pylist()[0]["n"]


def test_it_verifies_in_depth(archive: Path) -> None:
    assert [str(problem) for problem in verify_archive(archive, deep=True).problems] == []


def test_it_answers(archive: Path) -> None:
    truth = emulator_at(BORN + timedelta(hours=6)).truth("api", "fr-par")
    assert ids(archive) == [json.loads(raw)["id"] for raw in truth]
    assert count(archive, "revisions") == 1
    assert count(archive, "quarantine") == 1


def test_it_grows_and_still_verifies(archive: Path) -> None:
    now = BORN + timedelta(hours=12)
    emulator = emulator_at(now)
    sync(emulator, archive, now)
    assert ids(archive) == [json.loads(raw)["id"] for raw in emulator.truth("api", "fr-par")]
    assert [str(problem) for problem in verify_archive(archive, deep=True).problems] == []
