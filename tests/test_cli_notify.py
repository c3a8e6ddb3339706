"""`trailkeep detect --notify`: each receiver is told once of what is new, whatever goes wrong in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from archives import Archives
from demo_archive import run
from test_notifying import SECRET, Hook

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ONLY = ("--only", "defence/audit-trail-tampering")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().running() as running:
        yield running


class Place:
    """A folder with an archive, settings, and what is told."""

    def __init__(self, folder: Path, hook: Hook) -> None:
        self.folder = folder
        self.hook = hook
        self.lines = folder / "findings.ndjson"
        (folder / "trailkeep.toml").write_text(
            '[notify.siem]\ntype = "webhook"\nurl_env = "HOOK"\n\n'
            '[notify.log]\ntype = "file"\npath = "findings.ndjson"\nseverity = "info"\n'
        )

    def tamper(self, hours_ago: int) -> None:
        """Somebody deletes an export job of the trail."""
        archives = Archives(self.folder / "data", count=hours_ago)
        archives.api(
            datetime.now(UTC) - timedelta(hours=hours_ago),
            "DeleteExportJob",
            product_name="audit-trail",
            principal_id=f"mallory-{hours_ago}",
        )
        archives.commit()

    def detect(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, "detect", *ONLY, *arguments, **({"HOOK": self.hook.url} | environ))

    @property
    def posted(self) -> list[str]:
        return [finding["actor_id"] for _headers, body in self.hook.got for finding in body["findings"]]

    @property
    def written(self) -> list[str]:
        text = self.lines.read_text() if self.lines.exists() else ""
        return [json.loads(line)["actor_id"] for line in text.splitlines()]


@pytest.fixture
def place(tmp_path: Path, hook: Hook) -> Place:
    place = Place(tmp_path, hook)
    place.tamper(5)
    return place


def test_everybody_is_told_once(place: Place) -> None:
    done = place.detect("--notify")
    assert done.returncode == 10, done.stderr
    assert "told siem of 1 finding" in done.stderr
    assert (place.posted, place.written) == (["mallory-5"], ["mallory-5"])
    again = place.detect("--notify")
    assert again.returncode == 0, again.stderr
    assert (place.posted, place.written) == (["mallory-5"], ["mallory-5"])
    place.tamper(3)
    assert place.detect("--notify").returncode == 10
    assert place.posted == ["mallory-5", "mallory-3"]


def test_who_could_not_be_told_is_told_by_the_next_run(place: Place) -> None:
    place.hook.answers = [(400, {})]
    done = place.detect("--notify")
    assert done.returncode == 10
    assert "siem was not told of 1 finding" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert place.written == ["mallory-5"]
    place.hook.answers = [(400, {})]
    assert place.detect("--notify").returncode == 3
    assert place.detect("--notify").returncode == 0
    assert (place.posted, place.written) == (["mallory-5"] * 3, ["mallory-5"])


def test_what_was_on_record_before_a_receiver_came_is_not_for_it(place: Place) -> None:
    assert place.detect().returncode == 10
    assert place.detect("--notify").returncode == 0
    assert (place.posted, place.written) == ([], [])
    place.tamper(2)
    assert place.detect().returncode == 10
    done = place.detect("--notify", "--receiver", "log")
    assert (place.posted, place.written) == ([], ["mallory-2"]), done.stderr
    assert place.detect("--notify").returncode == 0
    assert place.posted == ["mallory-2"]


def test_a_muted_finding_is_told_to_nobody(place: Place) -> None:
    assert place.detect("--notify", "--receiver", "log").returncode == 10
    place.tamper(2)
    found = json.loads(place.detect("--format", "json").stdout)
    (finding_id,) = [each["finding_id"] for each in found["findings"]]
    muted = run(place.folder, "detect", "mute", finding_id, "--reason", "we did this")
    assert muted.returncode == 0, muted.stderr
    assert place.detect("--notify").returncode == 0
    assert "mallory-2" not in [*place.posted, *place.written]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--receiver", "log"], {}, "Add --notify"),
        (["--notify", "--no-record"], {}, "does not go with --no-record"),
        (["--notify", "--receiver", "pager"], {}, "The settings have: siem, log"),
    ],
)
def test_what_cannot_be_done_is_said(place: Place, arguments: list[str], environ: dict[str, Any], said: str) -> None:
    done = place.detect(*arguments, **environ)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_a_receiver_without_its_url_does_not_keep_others_from_being_told(place: Place) -> None:
    done = place.detect("--notify", HOOK="")
    assert done.returncode == 10, done.stderr
    assert "siem was not told of 1 finding: " in done.stderr
    assert "the environment variable HOOK is not set" in done.stderr
    assert (place.posted, place.written) == ([], ["mallory-5"])
    assert place.detect("--notify", HOOK="").returncode == 2
    assert place.detect("--notify").returncode == 0
    assert (place.posted, place.written) == (["mallory-5"], ["mallory-5"])


def test_without_receivers_it_says_where_they_are_set(place: Place) -> None:
    (place.folder / "trailkeep.toml").write_text("")
    done = place.detect("--notify")
    assert done.returncode == 2
    assert "[notify.NAME]" in done.stderr
