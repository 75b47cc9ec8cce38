# Every target makes .venv by itself; Python >= 3.11, git and make are all that is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCH  := $(VENV)/.installed-bench

# tests and benchmarks start many interpreters: without bytecode each of them would compile everything anew
unexport PYTHONDONTWRITEBYTECODE

# `make test T=tests/unit/audit` runs only this path
T ?=
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: help demo test test-fast check bench docs format clean

demo: $(STAMP) ## the main job on embedded defaults
	$(BIN)/signal-gateway demo

test: $(STAMP) ## every test, in parallel; T=path: only the tests of this path
	$(PYTEST) $(T)

test-fast: $(STAMP) ## the tests without the markers slow, e2e, postgres and browser; T=path as above
	$(PYTEST) -m "not (slow or e2e or postgres or browser)" $(T)

check: $(STAMP) ## format, lint, types, the arrows between the rooms, plain English
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src examples
	$(BIN)/mypy tests
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python .ci/prose.py

bench: $(BENCH) ## the numbers of docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks

docs: $(STAMP) ## HTML documentation in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

format: $(STAMP) ## format the code and fix lint findings
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "signal-gateway needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BENCH): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
