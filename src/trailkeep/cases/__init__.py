"""Tests of saved queries: cases in YAML, each a small archive and the whole answer that is wanted from it."""

from trailkeep.cases.model import Case, CaseFile
from trailkeep.cases.places import case_file_of, case_files_in
from trailkeep.cases.reading import read_cases
from trailkeep.cases.running import Outcome, run_alone, run_case

__all__ = ["Case", "CaseFile", "Outcome", "case_file_of", "case_files_in", "read_cases", "run_alone", "run_case"]
