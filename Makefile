# The project's commands. Each makes .venv on its first run and uses it from then on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# A file's tests run in one process, which then makes what they share once; tests/conftest.py puts
# the slowest files first.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# What a processor without AVX-512 would do, and one without AVX: what the libraries choose is capped.
CAPS := AVX2:avx2 SSE41:default
CAPPED := tests/train/test_precision.py tests/train/test_step.py \
	tests/train/test_loop.py tests/models/test_encoder_channels.py tests/models/test_convolution.py \
	tests/transfer/probes

.PHONY: study test test-fast test-capped lint bench clean

study: $(INSTALLED)  ## run the quick study: data, training, transfer, report
	$(BIN)/taskgrain study quick

test: lint test-capped  ## lint, type check and every test
	$(PYTEST)

test-fast: $(INSTALLED)  ## the tests that take about a minute
	$(PYTEST) -m "not slow"

# All tests under a cap: ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 make test
test-capped: $(INSTALLED)  ## some tests with the instructions of older processors alone
	@for cap in $(CAPS); do \
		ONEDNN_MAX_CPU_ISA=$${cap%%:*} ATEN_CPU_CAPABILITY=$${cap##*:} \
		$(PYTEST) -q -m "not slow" $(CAPPED) || exit 1; done

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## every speed that we claim beside its peer: one table, and bench.json
	$(BIN)/python -m benchmarks.run --json bench.json

# constraints.txt holds the versions that the tests passed with.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:  ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
