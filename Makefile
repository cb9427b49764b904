# The project's commands. Each makes .venv on its first run and uses it from then on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: study test test-fast lint bench clean

study: $(INSTALLED)  ## run the quick study: data, training, transfer, report
	$(BIN)/taskgrain study quick

test: lint  ## lint, type check and every test
	$(BIN)/python -m pytest -n auto

test-fast: $(INSTALLED)  ## the tests that take about a minute
	$(BIN)/python -m pytest -n auto -m "not slow"

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## every headline speed beside its peer, in one run
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

# constraints.txt holds the versions that the tests passed with.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:  ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
