# What people do with a checkout. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Images of Python often set it; without bytecode each run rewrites and compiles every test and module again.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
HARNESS := tests/grafana/node
PAGE := tests/ui/node
QUICK := $(addprefix tests/,api auth bus client configuration domain exposition nodemap notifier process programs redislink \
	stores telemetry wiring)
SERVERS := redis-server redis-sentinel prometheus promtool prometheus-alertmanager amtool
CLIENTS := busybox chromium curl wget perl node npm shellcheck docker-compose zsh fish nginx

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: $(VENV)/installed ## Start the registry on port 9999, over SQLite in this directory
	@scripts/welcome $$$$ & exec $(BIN)/aurora-registry --config.file=config.yaml

.PHONY: alerting
alerting: $(VENV)/installed ## Prometheus and Alertmanager beside make run, with what aurora-cli alerting init wrote
	@scripts/need prometheus prometheus-alertmanager
	@exec scripts/alerting alerting

.PHONY: demo
demo: $(VENV)/installed ## The registry, Prometheus, Alertmanager and a mesh that misbehaves, on this machine only
	@scripts/need redis-server prometheus prometheus-alertmanager
	@scripts/newest-servers || true
	@exec $(BIN)/python -m demo

.PHONY: test
test: ## Everything that must hold before a change goes in; installs the servers that tests start
	@$(MAKE) --no-print-directory --jobs=8 prepared lint
	@$(MAKE) --no-print-directory --jobs=2 main-part environments
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/faults/test_soak.py tests/scenarios  # they wait far more than they work, but keep time
	$(BIN)/python -m pytest tests/grafana  # its meshes keep time in tenths of a second: alone
	@$(MAKE) --no-print-directory pythons

.PHONY: main-part
main-part: # of make test: three at a time on two cores, for they wait for servers
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore tests/scenarios --ignore tests/grafana --ignore tests/faults/test_soak.py

.PHONY: check
check: lint ## The quick look while you work: lint, types, and every test that starts no server
	@scripts/need promtool amtool shellcheck docker-compose zsh fish nginx
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not servers" --ignore tests/grafana --hypothesis-profile=quick

.PHONY: lowest
lowest: ## The quick tests with the lowest versions that pyproject.toml allows, in an environment of their own
	@scripts/need redis-server redis-sentinel
	@scripts/lowest .cache/lowest
	.cache/lowest/bin/python -m pytest -q -n 2 -m "not servers" $(QUICK)
	.cache/lowest/bin/python -m pytest -q tests/redislink tests/bus tests/stores/test_redis_store.py

.PHONY: environments
environments: $(VENV)/installed-dev newest-pythons # for make pythons; tests that run meanwhile go first
	@nice scripts/other-pythons $(VENV)

.PHONY: pythons
pythons: environments ## The quick tests on other Pythons: the system's, and the newest that is here
	@scripts/other-pythons $(VENV) -n 2 -m "not servers" $(QUICK)
	@scripts/other-pythons $(VENV) -n 2 tests/acceptance/test_operation.py

.PHONY: lint
lint: $(VENV)/installed-dev ## Ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/installed-dev ## Let Ruff put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: prepared
prepared: servers $(VENV)/installed-dev $(HARNESS)/node_modules/installed $(PAGE)/node_modules/installed # all that make test installs

.PHONY: servers
servers: commands newest-servers newest-pythons # what the tests start, installed where it is missing

.PHONY: commands
commands:
	@scripts/need $(SERVERS) $(CLIENTS)

.PHONY: newest-servers
newest-servers:
	@scripts/newest-servers || test -z "$$CI"  # on a machine without Debian's packages, one generation must do

.PHONY: newest-pythons
newest-pythons:
	@scripts/newest-pythons || true  # the agent is tried on those that are there

.PHONY: incidents
incidents: servers $(VENV)/installed-dev ## Play random incidents with real servers: make incidents SEED=... COUNT=200
	$(BIN)/python -m tests.incidents $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

.PHONY: faults
faults: servers $(VENV)/installed-dev ## Inject every fault that must be survived; a table of what held, and how long it took
	$(BIN)/python -m tests.faults

.PHONY: soak
soak: servers $(VENV)/installed-dev ## Three registries, 500 nodes, random faults and an oracle: make soak SEED=... MINUTES=30
	$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: bench
bench: $(VENV)/installed-dev ## Measure, beside what one would use instead
	@scripts/need $(SERVERS) prometheus-pushgateway prometheus-node-exporter wrk chromium
	@scripts/newest-servers || true
	@scripts/newest-pythons || true
	$(BIN)/python -m benchmarks

.PHONY: fuzz
fuzz: $(VENV)/installed-dev ## A million mutated inputs for everything that reads what comes from outside
	$(BIN)/python -m tests.fuzz
	@for target in registration heartbeat event configuration; do \
		if $(BIN)/python -c 'import atheris' 2>/dev/null; then \
			$(BIN)/python -m tests.fuzz.guided $$target 250000 .cache/fuzz/$$target || exit 1; \
		fi; \
	done

.PHONY: previews
previews: $(VENV)/installed-dev $(HARNESS)/node_modules/installed ## Draw the dashboards from a Prometheus: make previews PROMETHEUS=http://...
	@scripts/need node chromium
	$(BIN)/python -m tests.grafana.previews $(if $(PROMETHEUS),--prometheus $(PROMETHEUS))

.PHONY: constraints
constraints: ## Take the newest versions of all that we depend on into constraints.txt
	@scripts/constraints

.PHONY: clean
clean: ## Remove what make made; the registry's database stays
	rm -rf $(VENV) $(HARNESS)/node_modules $(PAGE)/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps: pip is asked again only when what it would install has changed.

$(BIN)/python:
	@scripts/venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing the registry into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[registry]'
	@touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing the registry and what its tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[registry,dev]'
	@touch $@ $(VENV)/installed

$(HARNESS)/node_modules/installed: $(HARNESS)/package.json $(HARNESS)/.npmrc | commands
	@echo "Installing Grafana's front-end library into $(HARNESS)/node_modules ..."
	@npm install --prefix $(HARNESS) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

$(PAGE)/node_modules/installed: $(PAGE)/package.json $(PAGE)/.npmrc | commands
	@echo "Installing what checks the status page into $(PAGE)/node_modules ..."
	@npm install --prefix $(PAGE) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@
