# Everything runs in .venv, which the first target that needs it makes; `make lowest` and `make highest` have their own. PYTHON chooses the interpreter (3.10 to 3.13).
PYTHON ?= python3
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup gaussian-squeeze test slow coverage mutants kills lowest highest lint format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## make .venv with the pinned versions

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

gaussian-squeeze: .venv/installed ## the Gaussian Squeeze figure of all six methods, small, in about a minute
	$(RUN) reproduce/gaussian_squeeze.py --quick --out results/quick/gaussian_squeeze
	@echo
	@echo "The figure: $(CURDIR)/results/quick/gaussian_squeeze/learning_curves.png"
	@echo "The paper's budgets, 24 and 5 seeds: $(RUN) reproduce/gaussian_squeeze.py --full --out results/full"

test: .venv/installed ## every test but the slow ones, on all cores
	$(RUN) -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile

slow: .venv/installed ## the slow tests
	$(RUN) -m pytest -m slow

coverage: .venv/installed ## the tests of `make test`, and the lines they do not reach
	$(RUN) -m pytest --cov --cov-report=term-missing:skip-covered

mutants: .venv/installed ## how many small changes of the code the tests notice, by group; hours
	OMP_NUM_THREADS=1 $(RUN) benchmarks/mutants.py

kills: .venv/installed ## stop every script by signals at random moments, and compare what it gives; half an hour
	OMP_NUM_THREADS=1 $(RUN) benchmarks/kills.py

# TESTS=tests/test_figures.py runs some; WITH=torch==2.13.0 holds a package at one version.
lowest: .venv-lowest-direct/installed ## the tests with the lowest versions that pyproject.toml admits
	.venv-lowest-direct/bin/python -m pytest $(TESTS)

highest: .venv-highest/installed ## the tests with the highest versions there are
	.venv-highest/bin/python -m pytest $(TESTS)

.venv-%/installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet uv
	.venv-$*/bin/uv pip install --quiet --python .venv-$*/bin/python --resolution $* -e '.[test]' $(WITH)
	@touch $@

lint: .venv/installed ## style, formatting and types
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

docs: .venv/docs-installed ## the docs site with the API reference, into site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet
	@echo "$(CURDIR)/site/index.html"

.venv/docs-installed: .venv/installed
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

format: .venv/installed ## put the code into the project's format
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

clean: ## remove .venv and caches; results stay
	rm -rf .venv .venv-* site .mypy_cache .ruff_cache .pytest_cache .coverage .hypothesis build dist
