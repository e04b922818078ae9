# `make demo` and `make test` set up everything they need in .venv; only Python 3.11+ must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two BLAS threads make small problems many times slower.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile

# A few tests of every room: with no extras, and with the oldest versions that pyproject.toml allows.
SMOKE := tests/test_files.py tests/test_labels.py tests/statistics/test_class_statistics.py tests/metrics/test_values.py \
  tests/losses/test_cross_entropy.py tests/losses/test_hug.py tests/heads/test_heads.py tests/data/test_features.py \
  tests/geometry/frames tests/cli/test_measure.py tests/report/test_page.py
SMOKE_NEEDS := pytest pytest-timeout pytest-xdist hypothesis
SMOKE_PYTEST := -m pytest -n 2 --dist loadfile -m "not slow" -o addopts="--import-mode=importlib --strict-markers" $(SMOKE)

.PHONY: demo test test-all test-core test-lowest coverage fuzz lint types docs bench format clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.train   ## the main job on real data, with a report
	$(BIN)/neucollapse demo

test: $(VENV)/.dev     ## five minutes on two cores: every room and doctest, the report in a real browser, a kill, two ranks
	@scripts/ensure_chromium
	$(PYTEST) -m "not slow" --doctest-modules

test-all: $(VENV)/.dev ## the tests that `make test` leaves out
	@scripts/ensure_chromium
	$(PYTEST) -m slow

test-core: $(VENV)/core/.done      ## a few tests of every room, without extras
	$(TEST_ENV) $(VENV)/core/bin/python $(SMOKE_PYTEST)

test-lowest: $(VENV)/lowest/.done  ## the same with every extra, at the oldest versions allowed of all but torch
	$(TEST_ENV) $(VENV)/lowest/bin/python $(SMOKE_PYTEST) tests/training/test_callback.py

coverage: $(VENV)/.dev ## which lines `make test` runs, into htmlcov/
	$(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=html

fuzz: $(VENV)/.dev     ## the tests that hypothesis draws cases for, with new cases, and every reader on 2,000 damaged files
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) -m hypothesis
	$(TEST_ENV) NEUCOLLAPSE_FUZZ=2000 $(BIN)/python -m pytest tests/test_fuzz.py

lint: $(VENV)/.dev     ## style, formatting, the arrows between rooms, and dependencies declared and used
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry src

types: $(VENV)/.dev    ## static types
	$(BIN)/pyright

docs: $(VENV)/.docs    ## the documentation, into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev    ## every benchmark, into benchmarks/results/
	@for file in benchmarks/[a-z]*.py; do echo "$$file"; $(TEST_ENV) $(BIN)/python $$file || exit 1; done

format: $(VENV)/.dev   ## put the code in format
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean:                 ## remove what the targets made
	rm -rf $(VENV) site htmlcov .coverage .pytest_cache .ruff_cache .hypothesis

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neucollapse needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PIP) torch
	@$(PIP) -e .
	@touch $@

$(VENV)/.train: $(VENV)/.core
	@$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(PIP) -e '.[train,fast,heads,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	@$(PIP) -e '.[train,docs]'
	@touch $@

$(VENV)/core/.done: pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VENV)/core
	@$(VENV)/core/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . $(SMOKE_NEEDS)
	@touch $@

$(VENV)/lowest/.done: pyproject.toml scripts/lowest.py
	@$(PYTHON) -m venv $(VENV)/lowest
	@$(PYTHON) scripts/lowest.py > $(VENV)/lowest/constraints.txt
	@$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/lowest/constraints.txt \
	  -e '.[train,fast,heads]' $(SMOKE_NEEDS)
	@touch $@
