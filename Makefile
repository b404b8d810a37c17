# Needs make and Python 3.11 or newer; everything else comes from package registries into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
ARGS ?=
COMMA := ,

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test unit integration soak mutants bench lint clean

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Arguments go into ARGS: make run ARGS=--detach'

run: $(VENV)/.run ## Start everything, feed the sample vendor and serve; Ctrl-C stops it.
	@exec $(BIN)/lostfound up $(if $(findstring --detach,$(ARGS)),,--sample) $(ARGS)

test: $(VENV)/.dev ## Run all tests, on three processes: two cores wait for nothing then.
	@exec $(BIN)/pytest -n 3 --no-loadscope-reorder $(ARGS)

unit: $(VENV)/.dev ## Run the tests that need no services.
	@exec $(BIN)/pytest -m 'not integration and not chaos' $(ARGS)

integration: $(VENV)/.dev ## Run the tests on real services.
	@exec $(BIN)/pytest -m 'integration or chaos' $(ARGS)

soak: $(VENV)/.dev ## Try the invariants on 10,000 random histories in memory, and on 1,000 in PostgreSQL.
	@LOSTFOUND_SOAK=1 exec $(BIN)/pytest tests/machine -n 2 --no-loadscope-reorder $(ARGS)

mutants: $(VENV)/.mutants ## Change the rules in 7,000 small ways, and tell which no test finds; ARGS=FILE: of a file.
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec nice -n 10 $(BIN)/python -m tests.mutants $(ARGS)

bench: $(VENV)/.dev ## Measure speed and memory; ARGS=--strict fails when a bar is missed.
	@exec $(BIN)/python -m bench $(ARGS)

lint: $(VENV)/.dev ## Check style, types and which room imports which.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove the environment and what the tools left; data stays.
	rm -rf $(VENV) *.egg-info build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/pip:
	@for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo 'Python 3.11 or newer was not found: install it, then run make again.' >&2; exit 1; fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python lacks the venv module: install the package python3-venv, then run make again." >&2; exit 1; fi; \
	$$python -m venv --clear $(VENV)

# The environment for the tests serves `run` as well, so one that is current is not installed again.
$(VENV)/.run: $(PINS) | $(BIN)/pip
	@if [ -e $(VENV)/.dev ] && [ -z "$$(find $(PINS) -newer $(VENV)/.dev)" ]; then touch $@; else $(call install,.); fi

$(VENV)/.dev: $(PINS) | $(BIN)/pip
	@$(call install,.[dev])

$(VENV)/.mutants: $(PINS) | $(BIN)/pip
	@$(call install,.[dev$(COMMA)mutants])

define install
echo 'Installing into $(VENV), a few minutes the first time.' && \
if $(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '$(1)'; then $(BIN)/lostfound fetch || true; touch $@; else \
	echo 'The packages could not be installed: connect this machine to a package registry (or set PIP_INDEX_URL to a mirror), then run make again.' >&2; \
	exit 1; fi
endef
