# Everything a developer types. `make run` and `make test` need nothing but Python 3.11, make and a network.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip install -qq --disable-pip-version-check --no-input
SOAK_SECONDS ?= 3600
SLOW := integration or browser or chaos
# Most tests wait for processes most of the time: three at once keep two cores busy.
PYTEST := $(BIN)/python -m pytest -q -n 3 --dist worksteal

.PHONY: run test check lint bench chaos soak venv browser

run: .venv/installed  ## Start all of it on this machine.
	@exec $(BIN)/python -m queueproject.stack

test: .venv/installed-dev browser  ## Everything that must hold: rules and pages on SQLite, processes on PostgreSQL, the queue itself on both.
	@mkdir -p var; $(MAKE) --no-print-directory lint > var/lint.log 2>&1 & lint=$$!; \
	TEST_DATABASE=sqlite $(PYTEST) -m "not chaos and not integration" && tests=well; \
	wait $$lint || { cat var/lint.log; exit 1; }; [ "$$tests" = well ]
	@TEST_DATABASE=postgres $(PYTEST) -m "(integration or chaos or engine) and not browser"

check: lint  ## The quick part.
	@$(PYTEST) -m "not ($(SLOW))"

lint: .venv/installed-dev
	@mkdir -p var
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@DEBUG=1 $(BIN)/mypy --no-error-summary
	@DEBUG=1 $(BIN)/lint-imports --no-logo > var/lint-imports.log || { cat var/lint-imports.log; exit 1; }
	@DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run -v 1 > var/migrations.log || { cat var/migrations.log; exit 1; }

bench: .venv/installed-dev  ## Measure; prints a table and writes var/bench.json.
	@$(BIN)/python -m bench

chaos: .venv/installed-dev  ## All of the proof (docs/proof.md): every failure at every step, no guard unmissed, 10,000 jobs under fire.
	@TEST_DATABASE=sqlite $(PYTEST) -m "integration"
	@TEST_DATABASE=postgres $(PYTEST) -m "not browser and not integration and not engine"
	@PROOF=full TEST_DATABASE=sqlite $(PYTEST) -m "hypothesis and not ($(SLOW))"
	@PROOF=full TEST_DATABASE=sqlite $(BIN)/python -m pytest -q tests/proof tests/story tests/workflows/test_processes.py
	@PROOF=full TEST_DATABASE=postgres $(BIN)/python -m pytest -q tests/proof tests/story tests/workflows/test_processes.py
	@$(BIN)/python -m tests.proof.guards
	@DEBUG=1 $(BIN)/python manage.py chaos --jobs 10000 --seconds 100 --database postgres
	@DEBUG=1 $(BIN)/python manage.py chaos --jobs 2000 --seconds 100 --database postgres --lease 12 --every 5
	@DEBUG=1 $(BIN)/python manage.py chaos --jobs 2000 --seconds 100 --database sqlite

soak: .venv/installed-dev  ## An hour under fire; less with SOAK_SECONDS=600.
	@DEBUG=1 $(BIN)/python manage.py chaos --jobs $$(( 12 * $(SOAK_SECONDS) )) --seconds $(SOAK_SECONDS) --database postgres

venv: .venv/installed-dev  ## Make the virtual environment, with the tests' needs.

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed: set PYTHON=…")'
	@echo "Making .venv; this takes a minute the first time."
	@$(PYTHON) -m venv .venv
	@$(PIP) -r requirements.txt
	@mkdir -p var && touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@$(PIP) -r requirements-dev.txt
	@touch $@

browser:
	@command -v chromium > /dev/null || .ci/chromium
