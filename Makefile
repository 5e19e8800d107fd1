PYTHON ?= python3
LOWEST_PYTHON ?= $(shell python3.10 -c '' 2>/dev/null && echo python3.10 || echo $(PYTHON))
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install lock quickstart report status test test-lowest lint check figures bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/stamp  ## Make .venv from requirements.lock

.venv/stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) -V 2>&1); use 3.11 to 3.13: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

lock: .venv/stamp  ## Write what .venv holds to requirements.lock (torch pins the nvidia wheels itself)
	$(BIN)/pip freeze --exclude-editable | grep -vE '^(nvidia|cuda|triton)' > requirements.lock

quickstart: install  ## Adam + L2 against AdamW over lr x wd: sweep, picture and table in two minutes
	$(BIN)/python train.py -m experiment=quickstart
	$(BIN)/python analyze.py experiment=quickstart

report: install  ## Draw what has been run, with the page to point at: make report EXPERIMENT=modular
	$(BIN)/python analyze.py experiment=$(EXPERIMENT)

status: install  ## How the cells of a sweep are: make status EXPERIMENT=modular
	@$(BIN)/python analyze.py command=status experiment=$(EXPERIMENT)

test: install  ## All tests: CPU only, no network
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

test-lowest: .venv-lowest/stamp  ## All tests on the oldest versions that pyproject.toml allows
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest -n 2

.venv-lowest/stamp: requirements-lowest.txt
	$(LOWEST_PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --requirement requirements-lowest.txt
	.venv-lowest/bin/pip install --quiet --no-deps --editable .
	touch $@

lint: install  ## Ruff and mypy, checking only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test  ## All that CI runs

figures: install  ## Redraw all of results/ from the committed tables
	for table in results/*/runs.csv; do \
		$(BIN)/python analyze.py runs_dir=none experiment=$$(basename $$(dirname $$table)) || exit 1; \
	done
	$(BIN)/python analyze.py command=verdict
	$(BIN)/python analyze.py command=laws

bench: install  ## Measure speed against a plain script; DATA_DIR names CIFAR-10 (about half an hour)
	$(BIN)/python -m benchmarks

clean:  ## Remove caches and .venv, never runs or results
	rm -rf .venv .venv-lowest .pytest_cache .ruff_cache .hypothesis *.egg-info
