# Two commands: `make demo` sets everything up and runs the main job; `make test` sets up and checks everything.
# TORCH can name another build, for example: make demo TORCH="torch==2.13.0 --index-url URL-OF-A-CPU-BUILD"
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready
DOCS := .venv/.docs

.PHONY: demo test lint bench docs clean

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "boresight needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

$(DOCS): $(READY)
	$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@

demo: $(READY)
	$(BIN)/boresight models pull gemma-3-270m smollm2-135m-instruct --accept-licence
	$(BIN)/boresight demo

test: lint
	$(BIN)/boresight models pull --accept-licence
	$(BIN)/pytest --cov --cov-report=term --cov-fail-under=90

lint: $(READY)
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/boresight models pull gemma-3-270m smollm2-135m-instruct --accept-licence
	$(BIN)/python bench/nudging.py
	$(BIN)/python bench/urial.py
	$(BIN)/python bench/discretion.py

docs: $(DOCS)
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv site build dist
