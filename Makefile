# Everything a developer does. Needs GNU make, a POSIX shell and Python 3.11 or later; the rest comes by itself.
.POSIX:
.SUFFIXES:
.DEFAULT_GOAL := help
.PHONY: help run stop clean demo month verify test lint types lock install k8s metrics-page dashboards interface client \
	test-unit test-integration test-simulation test-e2e scorecard
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest -q

help: ## This list
	@echo 'Tributary: make <target>'
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | while IFS='	' read -r name text; do \
		printf '  %-18s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'Settings: PORT=8080 HOST=127.0.0.1 BROKER=auto|kafka|embedded TRIBUTARY_HOME=.tributary'
	@echo '          DATABASE_URL_GATEWAY|CLICKS|CONVERSIONS|COMMISSIONS and KAFKA_BOOTSTRAP_SERVERS for outside servers'

run: install ## Start the whole platform here; Ctrl-C stops it, nothing is lost
	@exec $(PYTHON) -m deploy.local.main up

stop: install ## Stop the platform that runs on this folder
	@$(PYTHON) -m deploy.local.main down

clean: install ## Delete the local network: databases, event log, keys, logs
	@$(PYTHON) -m deploy.local.main clean

demo: install ## Send real-looking traffic, recompute every statement, compare to the cent
	@exec $(PYTHON) -m deploy.local.main with -- $(PYTHON) -m tests.demo

month: install ## A month of a network on its own clock: run, reverse, pay, state, verify (MONTH_CONVERSIONS=200000)
	@exec $(PYTHON) -m tests.month

verify: install ## Prove the running network's ledger (chain, balances, prices from their inputs) and its audit chains
	@$(PYTHON) -m deploy.local.main verify

test: install ## Everything CI checks: lint, types, import rules, all tests on both event logs
	@$(MAKE) lint
	@$(MAKE) types
	@$(MAKE) test-unit
	@$(MAKE) test-integration
	@$(MAKE) test-simulation
	@$(MAKE) test-e2e
	@echo; echo '== all of it passed'

lint: install ## Style, import rules, unused dependencies
	@echo; echo '== lint'
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/deptry .

types: install ## mypy, strict
	@echo; echo '== types'
	@$(PYTHON) -m mypy

test-unit: install ## Unit, contract and architecture tests: no servers, seconds
	@echo; echo '== unit, contracts, architecture'
	@$(PYTEST) tests/unit tests/contracts tests/architecture

test-integration: install ## On a real PostgreSQL and a real Kafka
	@echo; echo '== integration'
	@$(MAKE) say-whether-kafka
	@$(PYTEST) tests/integration

test-simulation: install ## Events duplicated, reordered, crashed half-way: the same ledger
	@echo; echo '== simulation'
	@$(PYTEST) tests/simulation

test-e2e: install ## The running platform, through its public port
	@echo; echo '== end to end'
	@$(MAKE) say-whether-kafka
	@$(PYTEST) tests/e2e

.PHONY: say-whether-kafka
say-whether-kafka:
	@$(PYTHON) -m deploy.local.main kafka-check

scorecard: install ## Faults under load, a line each: TIER=P|N ONLY=T24,T36 JSON=<file> (tests/faults/README.md)
	@exec $(PYTHON) -m tests.faults --tier "$${TIER:-P}" --only "$${ONLY:-}" $${JSON:+--json "$$JSON"}

k8s: install ## Render and check every overlay, then break each part and see it noticed
	@$(PYTHON) -m tests.unit.deploy_manifests.kubectl
	@REQUIRE_KUBECTL=1 $(PYTEST) tests/unit/deploy_manifests

metrics-page: install ## Write docs/metrics.md from the metrics that the code declares
	@$(PYTHON) -m deploy.observability.metrics_page

interface: install ## Make the OpenAPI and AsyncAPI documents, their pages and the typed client from the code
	@$(PYTHON) -m deploy.interface.main write

dashboards: install ## Write the Grafana dashboards and the PrometheusRule from what deploy/observability says
	@$(PYTHON) -m deploy.observability.dashboards
	@$(PYTHON) -m deploy.observability.prometheus_rule

client: install ## Write the typed Python client, a package of its own, into build/client
	@$(PYTHON) -m deploy.client.write

lock: ## Pin every dependency with its hashes (needs uv)
	@command -v uv >/dev/null || { echo 'Install uv first: https://docs.astral.sh/uv/' >&2; exit 1; }
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra dev --extra tracing \
		--no-emit-index-url --no-emit-find-links -o requirements.lock pyproject.toml
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra tracing --constraint requirements.lock \
		--no-emit-index-url --no-emit-find-links -o deploy/image.lock pyproject.toml

# Instant when the lock, the project file and the interpreter are those that were installed.
install:
	@want=$$(cat requirements.lock pyproject.toml | cksum); \
	if [ -x $(PYTHON) ] && [ "$$want" = "$$(cat $(VENV)/installed 2>/dev/null)" ]; then exit 0; fi; \
	if [ ! -x $(PYTHON) ] || ! $(PYTHON) -c '' 2>/dev/null; then \
		for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
			if "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				found=$$name; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo 'Tributary needs Python 3.11 or later with its venv module; found none.' >&2; exit 1; fi; \
		echo "Creating $(VENV) with $$found …"; \
		rm -rf $(VENV) && "$$found" -m venv $(VENV) || exit 1; \
	fi; \
	echo 'Installing what requirements.lock pins …'; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	&& $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
	&& printf '%s\n' "$$want" > $(VENV)/installed \
	|| { echo 'Tributary could not be installed: pip says why above. Without a connection, mend that. Where it tried' \
		'to build a package, this machine has no ready one: install a C compiler and the headers of Python (Debian:' \
		'build-essential python3-dev). Then the same make again.' >&2; exit 1; }
