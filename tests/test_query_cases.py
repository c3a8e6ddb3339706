"""Every shipped query is tested by cases of its own, runs on an archive that holds nothing, and repeats its bytes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from archives import empty_archive
from demo_archive import ROOT, DemoArchive, clock, demo_archive
from trailkeep.analysis import Question, open_result
from trailkeep.cases import case_file_of, case_files_in, read_cases, run_alone
from trailkeep.cli.results import ResultFormat
from trailkeep.cli.running import Delivery, deliver
from trailkeep.errors import UsageError
from trailkeep.queries import discover, find, load, query_folders, questions, sample
from trailkeep.schema import EVENT_TABLES
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.store.compaction import compact, plan_compaction
from trailkeep.store.segments import rows_from

if TYPE_CHECKING:
    from trailkeep.cases import Case
    from trailkeep.queries import SavedQuery

FOLDER = ROOT / "tests" / "queries"
SHIPPED = discover(query_folders((), directory=Path("/nonexistent")))
STAGES = [
    *("coverage", "scope", "access", "discovery", "persistence", "privilege", "defence"),
    *("exfiltration", "impact", "containment", "limits"),
]
DOCUMENTED_ALERTS = {
    "ApiKeyCreated",
    "ApiKeyCreationUnauthorized",
    "ApiKeyDeleted",
    "ApiKeyDeletionUnauthorized",
    "HttpForbiddenErrorRateHigh",
}
"""Those that Scaleway's documentation says are there from the beginning."""


def loaded() -> dict[str, SavedQuery]:
    """The queries whose files can be read; `queries check` is tested to say what is wrong with the others."""
    found = {}
    for name, file in SHIPPED.items():
        try:
            found[name] = load(name, file.path)
        except UsageError:
            continue
    return found


QUERIES = loaded()
STEP = int(os.environ.get("TRAILKEEP_DETERMINISM_STEP", "9"))
"""Of so many queries one is asked twice, and of three at most one on an empty archive; 1 for all of them."""


def leaves_something_out(case: Case) -> bool:
    """Whether the answer is empty, or some event or object of the case is in none of its rows."""
    named = str(case.rows)
    objects = [json.loads(sighting.raw).get("id") for sighting in case.directory]
    return not case.rows or any(str(each) not in named for each in [*(event.id for event in case.events), *objects])


def cases() -> tuple[dict[str, list[Case]], dict[str, str]]:
    """The cases of each query, and what is wrong with files that cannot be read."""
    found: dict[str, list[Case]] = {}
    wrong: dict[str, str] = {}
    for name, path in case_files_in(FOLDER).items():
        if name in QUERIES:
            try:
                found[name] = list(read_cases(path, QUERIES[name].parameters).cases)
            except UsageError as error:
                wrong[name] = error.message
    return found, wrong


CASES, WRONG = cases()
EACH = [pytest.param(name, case, id=f"{name}: {case.name}") for name, own in CASES.items() for case in own]


class TestCases:
    @pytest.mark.parametrize(("name", "case"), EACH)
    def test_the_answer_is_the_one_that_is_wanted(self, name: str, case: Case) -> None:
        differences = run_alone(QUERIES[name], case).differences
        assert not differences, "\n".join(differences)

    def test_every_file_can_be_read(self) -> None:
        assert WRONG == {}

    def test_every_file_is_about_a_shipped_query(self) -> None:
        assert sorted(set(case_files_in(FOLDER)) - set(SHIPPED)) == []


class TestGate:
    def test_every_query_has_cases(self) -> None:
        assert [name for name, file in SHIPPED.items() if not case_file_of(file).exists()] == []

    def test_every_query_is_shown_to_find_something_and_to_leave_something_out(self) -> None:
        """Those about what is held, or could be, may have something to say of every archive."""
        one_sided = []
        for name, own in CASES.items():
            finds, leaves_out = any(case.rows for case in own), any(leaves_something_out(case) for case in own)
            always = QUERIES[name].answer == "no" or QUERIES[name].stage in ("coverage", "limits")
            if not finds or not (leaves_out or always):
                one_sided.append(name)
        assert one_sided == []

    def test_every_question_that_can_be_answered_has_a_query(self) -> None:
        asked = {query.question for query in QUERIES.values() if query.answer != "no"}
        assert [each.number for each in questions().values() if each.answer != "no" and each.number not in asked] == []

    def test_every_question_that_cannot_be_answered_has_a_query_that_says_so(self) -> None:
        refused = {query.question for query in QUERIES.values() if query.answer == "no"}
        assert [
            each.number for each in questions().values() if each.answer == "no" and each.number not in refused
        ] == []

    def test_no_query_claims_more_than_its_question_allows(self) -> None:
        ranks = {"no": 0, "partly": 1, "yes": 2}
        assert [
            query.name
            for query in QUERIES.values()
            if query.question and ranks[query.answer] > ranks[questions()[query.question].answer]
        ] == []

    def test_every_documented_alert_has_a_query(self) -> None:
        assert sorted(DOCUMENTED_ALERTS - {query.alert for query in QUERIES.values()}) == []

    def test_every_query_lies_in_a_stage_of_an_investigation(self) -> None:
        assert sorted({query.stage for query in QUERIES.values()} - set(STAGES)) == []
        assert list(dict.fromkeys(each.stage for each in questions().values())) == STAGES

    def test_every_query_explains_its_columns_and_says_where_to_go_next(self) -> None:
        assert [query.name for query in QUERIES.values() if not query.columns] == []
        assert [query.name for query in QUERIES.values() if not query.next] == []

    def test_every_query_is_whole(self) -> None:
        assert [query.name for query in QUERIES.values() if not query.description or not query.blind_spots] == []
        assert [query.name for query in QUERIES.values() if query.severity and not query.false_positives] == []


def given(query: SavedQuery) -> dict[str, Any]:
    return {name: sample(each) for name, each in query.parameters.items() if each.required}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return empty_archive(tmp_path_factory.mktemp("empty") / "data")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return demo_archive(tmp_path_factory)


class TestArchives:
    @pytest.mark.parametrize("name", list(QUERIES)[:: min(3, STEP)])
    def test_each_runs_on_an_archive_that_holds_nothing(self, empty: Archive, name: str) -> None:
        query = QUERIES[name]
        with open_result(empty, Question.of(query, given=given(query)), now=clock()) as result:
            rows = sum(batch.num_rows for batch in result.batches())
        if query.answer == "no":
            assert rows > 0, "an empty table would look innocent"
        elif query.answer == "yes" and query.stage not in ("coverage", "limits"):
            # The root of the tree is the principal that was asked about, whatever is known of it.
            assert rows == (1 if name == "containment/blast-tree" else 0)

    @pytest.mark.parametrize("name", list(QUERIES)[::STEP])
    def test_each_gives_the_same_bytes_again_after_compaction(
        self, demo: DemoArchive, compacted: Archive, tmp_path: Path, name: str
    ) -> None:
        now, written = clock(), []
        for turn, archive in enumerate((Archive.open(demo.path), demo_again(demo, compacted, name))):
            target = tmp_path / str(turn)
            delivery = Delivery(form=ResultFormat.JSON, output_file=target, talk=False)
            deliver(archive, Question.of(QUERIES[name], given=given(QUERIES[name])), now, delivery)
            written.append(target.read_bytes())
        assert written[0] == written[1]


def demo_again(demo: DemoArchive, compacted: Archive, name: str) -> Archive:
    """The archive to ask again: the merged one, but for questions about the ledger, which tells of the merge."""
    return Archive.open(demo.path) if "ledger" in QUERIES[name].sql.lower().split() else compacted


@pytest.fixture(scope="session")
def compacted(demo: DemoArchive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A copy of the demo's archive with the rows of each month cut in three files, merged again."""
    path = tmp_path_factory.mktemp("compacted") / "data"
    shutil.copytree(demo.path, path)
    with Writer(path, clock=clock) as writer:
        for table in EVENT_TABLES.values():
            for file in sorted(writer.ledger.files(table.name), key=lambda file: file.record.path):
                rows = rows_from(table, writer.archive.locate(file), None)
                third = rows.num_rows // 3 + 1
                parts = [
                    NewRows(table=table, partition=file.partition, rows=rows.slice(start, third))
                    for start in range(0, rows.num_rows, third)
                ]
                removed = [file.record.path]
                writer.commit(Commit(operation="compact", started_at=clock(), added=parts, removed=removed))
        merged = compact(writer, plan_compaction(writer.ledger, clock(), everything=True), started_at=clock())
    assert merged
    return Archive.open(path)


def test_the_pivots_of_a_query_exist() -> None:
    for query in QUERIES.values():
        for each in query.next:
            assert find(each.query, SHIPPED).name in SHIPPED
