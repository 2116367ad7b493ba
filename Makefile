# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet

# How many processes run the tests (0: this one; `auto`: one for each core), and what else pytest is told.
WORKERS ?= auto
PYTEST ?=
# A folder of real mail for `make quality`.
CORPUS ?=
# How both locks are made.
UPGRADE ?=
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header $(UPGRADE)
# Programs that some tests need; tests/programs.py says where they are looked for.
PROGRAMS := chromium postgres dovecot postfix strace

# The packages of the developers contain those of the program, so whoever has them needs no other set.
RUN := $(if $(wildcard $(VENV)/dev.stamp),$(VENV)/dev.stamp,$(VENV)/run.stamp)
DEV := $(VENV)/dev.stamp

.PHONY: help run test fast check deps quality bench faults docs lock clean

help: ## list what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: $(RUN) ## install what is missing and start the demo
	$(VENV)/bin/tidings demo

test: $(DEV) ## install what is missing and run the tests
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --ignore=tests/faults $(PYTEST)

fast: $(DEV) ## the tests that need no browser, no whole demo and no other mail server
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --ignore=tests/faults -m "not slow" $(PYTEST)

check: $(DEV) ## style, types, the order of the house and the docs
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	$(PYTHON) -m pytest tests/test_house.py tests/test_docs.py

deps: ## install the Debian programs that some tests need
	@missing=$$($(PYTHON3) -c 'import sys; from tests.programs import missing_programs; print(*missing_programs(*sys.argv[1:]))' $(PROGRAMS)); \
	if [ -z "$$missing" ]; then echo "Nothing to install: $(PROGRAMS) are there."; exit 0; fi; \
	packages=$$(echo "$$missing" | sed 's/postgres/postgresql/; s/dovecot/dovecot-imapd dovecot-lmtpd/'); \
	if ! command -v apt-get > /dev/null; then echo "There is no apt-get here. Please install: $$packages" >&2; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=; elif command -v sudo > /dev/null; then as_root=sudo; \
	else echo "Please run as root: apt-get install $$packages" >&2; exit 1; fi; \
	echo "Installing with apt-get: $$packages"; \
	$$as_root apt-get update -q && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$packages

quality: $(DEV) ## measure on real mail: make quality CORPUS=FOLDER
	@corpus="$(CORPUS)"; \
	if [ -n "$$corpus" ] && [ ! -d "$$corpus" ]; then echo "There is no folder $$corpus." >&2; corpus=; fi; \
	if [ -z "$$corpus" ] && [ "$(CI)" = true ] && [ -d ../shared/corpus ]; then corpus=../shared/corpus; fi; \
	if [ -z "$$corpus" ]; then echo "NOTHING WAS MEASURED: name a folder of real mail, make quality CORPUS=FOLDER."; exit 0; fi; \
	echo "Measuring on $$corpus"; \
	$(PYTHON) -m benchmarks.quality "$$corpus"

bench: $(DEV) ## measure speed and memory beside the machine's own limits
	$(PYTHON) -m benchmarks.run

faults: $(DEV) ## kill, starve and break it on purpose (slow)
	$(PYTHON) -m pytest -m faults tests/faults $(PYTEST)

docs: $(DEV) ## write the pages that are made from the code
	$(PYTHON) -m docs.generate

lock: ## write both locks anew from pyproject.toml (needs uv); UPGRADE=--upgrade takes newer packages
	@command -v uv > /dev/null || { echo "make lock needs uv on the PATH." >&2; exit 1; }
	uv pip compile pyproject.toml --extra build $(LOCK) -q -o requirements.lock
	uv pip compile pyproject.toml --all-extras $(LOCK) -q -o requirements-dev.lock

clean: ## remove what tools left behind; .venv and sites stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# --- the virtual environment ------------------------------------------------------------------------------------------

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing the Python packages; the first time this takes a minute or two."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing the Python packages for development; the first time this takes a minute or two."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# pip is the last thing that a new environment gets: where it is, the environment is whole.
$(VENV)/bin/pip:
	@command -v $(PYTHON3) > /dev/null || { echo "Tidings needs Python 3.11 or later: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tidings needs Python 3.11 or later; $(PYTHON3) is $$($(PYTHON3) -V). Try make PYTHON3=python3.11" >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "Python's venv is missing. Please run: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON3) -m venv $(VENV)
