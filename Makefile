# What there is to do in a clone; needs make and python3 alone. `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench clean

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo:  ## a real experiment on real data, with live progress
	@$(PYTHON) tools/setup.py demo
	@MPLCONFIGDIR="$(CURDIR)/.venv/matplotlib" $(BIN)/xpm run examples/digits.py

test:  ## every test that this machine can run; ARGS are pytest's
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

check:  ## style, types, and who may import whom
	@$(PYTHON) tools/setup.py test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright --level error
	@$(BIN)/lint-imports

soak:  ## what takes an hour
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python -m pytest -q --soak --timeout 7200 $(ARGS)

bench:  ## how fast it is, with rq beside it; tables in benchmarks/out
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python -m benchmarks $(ARGS)

clean:  ## takes away what these commands made, results in runs/ aside
	@rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/out build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
