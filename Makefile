# `make repro` rebuilds everything, `make test` runs the tests; both set the environment up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# requirements.lock and requirements-cuda.lock have the hashes of all files, and pip then takes no others
REQUIREMENTS ?= requirements.txt
DEV_REQUIREMENTS := $(if $(filter %.lock,$(REQUIREMENTS)),requirements-dev.lock,requirements-dev.txt)
# an installation from a lock has setuptools from there
EDITABLE := --no-deps $(if $(filter %.lock,$(REQUIREMENTS)),--no-build-isolation) --editable .
# what tests and linters need beside it
DEV_STAMP := $(VENV)/.installed-dev
# an environment without the pipeline's packages, with this torch
LEAN := .venv-lean
LEAN_TORCH ?= $(shell sed -n 's/^torch==//p' requirements.txt)
LEAN_STAMP := $(LEAN)/.installed-$(LEAN_TORCH)
# an environment with what builds the documentation site, and nothing else
DOCS := .venv-docs
DOCS_STAMP := $(DOCS)/.installed

.PHONY: help setup params repro back exps report test test-lean lint docs bench gpu-check ui
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## .venv with the pinned requirements (REQUIREMENTS=requirements-cuda.lock: with their hashes)

define PYTHON_FITS
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	|| { echo "blindsr needs Python 3.11 to 3.13, and $(PYTHON) is `$(PYTHON) --version 2>&1`: run make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef

$(STAMP): $(REQUIREMENTS) constraints.txt pyproject.toml
	$(PYTHON_FITS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the requirements into $(VENV) (minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r $(REQUIREMENTS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(EDITABLE)
	@$(BIN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib >/dev/null || true  # on all cores; pip uses one
	@touch $@

$(DEV_STAMP): $(DEV_REQUIREMENTS) $(STAMP)
	@echo "installing $(DEV_REQUIREMENTS) into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(filter %.lock,$(REQUIREMENTS)),-r $(REQUIREMENTS)) -r $(DEV_REQUIREMENTS)
	@touch $@

params: setup  ## compose conf/ into params.yaml
	@$(BIN)/blindsr params

repro: params  ## rebuild tables, plots and runs (embedded profile: minutes)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/blindsr repro $(ARGS)

back: setup  ## after an experiment in the workspace: settings, tables and files of the last commit
	@git checkout --quiet HEAD -- params.yaml dvc.lock reports
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc checkout --quiet --force --allow-missing

# the columns of `dvc exp show` that tell experiments apart fit 120 characters; SWEPT: of the settings, a pattern of names
SWEPT ?= ^
HIDDEN := State|Executor|Created|models|src|reports|data|clean|trained|amplitude|(reg|backbone).names
exps: setup  ## compare experiments (SWEPT=rff.hyper.sigma ARGS="--sort-by mean")
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc exp show --only-changed \
		--drop '$(HIDDEN)|(reg|degradation)[.]settings[.](?!$(SWEPT))' $(ARGS)

report: setup  ## rebuild only tables, figures and page, from recorded scores
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc repro --single-item report

test: $(DEV_STAMP)  ## run the tests (ALL=1: also the longest, as CI does)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadscope $(if $(ALL),,-m "not slow") $(ARGS)

$(LEAN_STAMP): requirements-lean.txt constraints.txt pyproject.toml
	$(PYTHON_FITS)
	@test -x $(LEAN)/bin/python || $(PYTHON) -m venv $(LEAN)
	@echo "installing torch $(LEAN_TORCH) and requirements-lean.txt into $(LEAN) (minutes, once)"
	@grep -v '^torch' constraints.txt > $(LEAN)/constraints.txt
	@$(LEAN)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LEAN)/constraints.txt \
		-r requirements-lean.txt torch==$(LEAN_TORCH)
	@$(LEAN)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@rm -f $(LEAN)/.installed-* && touch $@

test-lean: $(LEAN_STAMP)  ## the tests without DVC, MLflow and scikit-learn (LEAN_TORCH=2.8.0)
	@$(LEAN)/bin/python -m pytest -n 2 --dist loadscope $(ARGS)

lint: $(DEV_STAMP)  ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

$(DOCS_STAMP): docs/requirements.txt
	$(PYTHON_FITS)
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@

docs: $(DOCS_STAMP)  ## the documentation site, in site/index.html
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --quiet
	@echo "open site/index.html"

bench: setup  ## speed against plain implementations (ARGS="NAME ... --quick --write")
	@$(BIN)/python -m benchmarks $(ARGS)

gpu-check: $(DEV_STAMP)  ## what a GPU can tell, in nine minutes (ARGS="--minutes 5 --data FOLDER --small")
	@$(BIN)/python -m benchmarks.gpu_check $(ARGS)

ui: setup  ## MLflow on this project's runs, at http://127.0.0.1:5000
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/blindsr runs ui
