# The doors of the project. Everything lives in .venv/ and var/; `make clean` removes both.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help run test check bench format lock clean environment development

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Both look every time, in a moment, so that an environment left half made is made anew.
environment:
	@$(PYTHON) docker/bootstrap.py $(VENV) requirements.txt requirements-embedded.txt requirements-tracing.txt

development: environment
	@$(PYTHON) docker/bootstrap.py $(VENV) requirements-dev.txt

run: environment ## Start everything in the foreground; Ctrl-C stops it
	@PORTAL_DIE_WITH_PARENT=1 exec $(BIN)/python manage.py up

test: development ## Run the tests against real servers
	@exec $(BIN)/python -m pytest -n 2 $(ARGS)

check: development ## Lint, types, layers, migrations: what CI runs before the tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/python docker/check_configuration.py
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check --fail-level WARNING

bench: development ## Measure against the floors; fails when a bound is broken
	@exec $(BIN)/python -m tests.bench $(ARGS)

format: development ## Format and fix
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: development ## Compile requirements*.in into hashed requirements*.txt
	@for name in requirements requirements-embedded requirements-tracing requirements-dev requirements-receiver; do \
	  $(BIN)/uv pip compile -q --no-header --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links $$name.in -o $$name.txt || exit 1; done

clean: ## Remove the environment, the servers' data and all caches
	@for place in var/postgres.place var/sockets.place; do \
	  if [ -f "$$place" ]; then rm -rf -- "$$(cat "$$place")"; fi; done
	@rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
