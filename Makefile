# `make demo` and `make test` set up everything they need in .venv; only Python 3.11+ must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two BLAS threads make small problems many times slower.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo test test-all fuzz lint types docs bench format clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.train   ## the main job on real data, with a report
	$(BIN)/neucollapse demo

test: $(VENV)/.dev     ## five minutes on two cores: every room and doctest, the report in a real browser, a kill, two ranks
	@scripts/ensure_chromium
	$(PYTEST) -m "not slow" --doctest-modules

test-all: $(VENV)/.dev ## the tests that `make test` leaves out
	@scripts/ensure_chromium
	$(PYTEST) -m slow

fuzz: $(VENV)/.dev     ## the tests that hypothesis draws cases for, with new cases, and every reader on 2,000 damaged files
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) -m hypothesis
	$(TEST_ENV) NEUCOLLAPSE_FUZZ=2000 $(BIN)/python -m pytest tests/test_fuzz.py

lint: $(VENV)/.dev     ## style, formatting, and the arrows between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev    ## static types
	$(BIN)/pyright

docs: $(VENV)/.docs    ## the documentation, into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev    ## every benchmark, into benchmarks/results/
	@for file in benchmarks/[a-z]*.py; do echo "$$file"; $(TEST_ENV) $(BIN)/python $$file || exit 1; done

format: $(VENV)/.dev   ## put the code in format
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean:                 ## remove what the targets made
	rm -rf $(VENV) site .pytest_cache .ruff_cache .hypothesis

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
