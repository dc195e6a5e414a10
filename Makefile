PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PORTAL := services/portal/dist/index.html
PORTAL_SOURCES := $(shell find portal -type f -not -path 'portal/node_modules/*' -not -path 'portal/src/contracts/*') \
	$(wildcard services/*/openapi.json)

SPECTRAL := contracts/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help install portal up demo test bench fuzz audit check format contracts lock clean

help: ## Show what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) $(PORTAL) ## Make .venv with the platform and its tools

$(INSTALLED): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Everleaf needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

portal: $(PORTAL) ## Build the portal, where something of it has changed

$(PORTAL): $(INSTALLED) $(PORTAL_SOURCES)
	sh portal/build.sh $(BIN)/python build/node

up: install ## Run the platform here: one process, everything included
	$(BIN)/everleaf up

demo: install ## Walk a certificate through the whole loop, on loopback (KEEP=1 leaves it running)
	$(BIN)/python -m demo $(if $(KEEP),--keep)

test: install ## Run all tests, against real servers (on Debian as root it installs them)
	sh tests/servers/install.sh
	$(BIN)/python -m pytest --numprocesses 4 $(ARGS)

bench: install ## Measure against named baselines (ROWS=scan.cheap,scan.mix ROUNDS=3); also build/bench.json
	sh bench/install.sh $(BIN)/python build/bench
	$(BIN)/python -m bench $(ROWS) --rounds $(or $(ROUNDS),3) $(if $(SCALE),--scale $(SCALE))

fuzz: install ## Ask the five services all that their contracts allow and forbid, and fuzz what reads strangers' bytes (SECONDS=60)
	$(BIN)/python -m tests.fuzz.contracts $(or $(SECONDS),60) $(SERVICES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --target build/fuzz/lib --requirement tests/fuzz/requirements.lock || echo "atheris could not be installed" >&2
	PYTHONPATH=.:build/fuzz/lib $(BIN)/python -m tests.fuzz $(or $(SECONDS),60)

audit: install ## Ask whether a dependency is known to be vulnerable; at fault where nobody can be asked
	$(BIN)/python -m tests.advisories --strict

$(SPECTRAL): contracts/package-lock.json
	cd contracts && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || echo "Spectral could not be installed: its rules are left out. They need Node.js." >&2

check: install $(SPECTRAL) ## Lint, types, import contracts, generated and released contracts, secrets, advisories: run it before every commit
	[ ! -d portal/node_modules ] || (cd portal && node_modules/.bin/biome check --error-on-warnings .)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/everleaf contracts --check
	$(BIN)/python -m pytest --quiet --quiet tests/architecture/test_security.py
	$(BIN)/python -m tests.advisories
	[ ! -e $(SPECTRAL) ] || (cd contracts && node_modules/.bin/spectral lint --ruleset spectral.yaml --fail-severity warn --quiet ../services/*/openapi.json)

format: install ## Put the code into the house format
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

contracts: install ## Write every openapi.json, asyncapi.json, event schema and client
	$(BIN)/everleaf contracts

lock: ## Renew the locks from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev pyproject.toml --output-file requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --constraint requirements-dev.lock pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header bench/requirements.in --output-file bench/requirements.lock

clean: ## Remove what make made
	rm -rf $(VENV) build dist portal/node_modules contracts/node_modules services/portal/dist
