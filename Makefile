# Every target sets up what it needs; a file's date says whether the virtual environment is current.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SPARK_STAMP := $(VENV)/.installed-spark
LAKE_STAMP := $(VENV)/.installed-lake

# Hundreds of processes import the same modules: each would compile them anew, a second or two of it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-spark test-spark-sample test-lake check static types format docs bench bench-detections soak clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trailkeep needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable . --group dev
	touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/trailkeep demo

# Whoever is done first takes over from the other: the tests of a file mostly share one worker, and what they set up.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Spark is heavy (450 MB), so that it comes only with these targets; where Java is missing, the tests are skipped and say so.
# The whole takes minutes, and is for whoever changes queries, views or their translation.
test-spark: $(SPARK_STAMP)
	$(BIN)/python -m pytest -n 0 tests/spark/spark_*.py

# What `.ci/run` has time for: eight saved queries and eight other questions, evenly spread, in one session of Spark.
test-spark-sample: $(SPARK_STAMP)
	TRAILKEEP_SPARK_SAMPLE=8 $(BIN)/python -m pytest -n 0 tests/spark/spark_saved_queries.py tests/spark/spark_translation.py

# By its name, since pip heeds the option for names alone: it comes as sources, and packing them tightly takes half a minute.
$(SPARK_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pyspark '-C--build-option=--compression=stored'
	touch $(SPARK_STAMP)

# The archive as an Iceberg table, and from an object store on this machine: what they need comes only with this target.
test-lake: $(LAKE_STAMP)
	$(BIN)/python -m pytest -n 0 tests/lake/lake_*.py

$(LAKE_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --group lake
	touch $(LAKE_STAMP)

# The types take as long as all else that is not a test.
check: $(STAMP)
	$(MAKE) -j 2 static types
	$(MAKE) test

static: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/playbook_outputs.py

# Ratios to what else could be used, measured side by side: docs/performance.md says what they mean.
bench: $(STAMP)
	$(BIN)/python bench/table.py

# A year without an incident through all detections: what each of them would have said.
bench-detections: $(STAMP)
	$(BIN)/python bench/benign.py

# The long forms of tests that `make test` runs short, then kills without end: an hour or two.
soak: $(STAMP)
	TRAILKEEP_EXAMPLES=1000 TRAILKEEP_CRASH_STEP=1 TRAILKEEP_FAULT_MIXES=500 TRAILKEEP_TAMPERINGS=200000 \
	TRAILKEEP_DIALECT_STEP=1 TRAILKEEP_DETECTION_STEP=1 TRAILKEEP_DETERMINISM_STEP=1 TRAILKEEP_GUARD_STEP=1 TRAILKEEP_SPLITS=300 \
	    $(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python bench/soak.py

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
