# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help
help: ## List all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

PIP := $(BIN)/python -m pip --disable-pip-version-check install
COUNT := /^Collecting/ { printf "\r  %d of %d packages", ++i, n; fflush() } \
  /^Installing collected/ { printf "\n  unpacking them …\n"; fflush() }

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing the locked requirements into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --no-compile --require-hashes -r requirements.lock \
	  | awk -v n=$$(grep -c == requirements.lock) '$(COUNT)'
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: .venv/installed ## Create .venv with the locked, hashed requirements

.PHONY: run
run: install ## Start everything here, send the example, show what came of it (ONCE=1: then stop)
	@$(BIN)/python -m ops.run

TIER ?= smoke
SEED ?= 1
.PHONY: faults
faults: install ## Break everything under load and count what is lost (TIER=smoke|pr|nightly|release SEED=n PART=k)
	@$(BIN)/python -m tests.battery --tier $(TIER) --seed $(SEED) $(if $(PART),--part $(PART))

.PHONY: faults-mutants
faults-mutants: install ## Put deliberate bugs in, one at a time: the battery has to catch each
	@$(BIN)/python -m tests.battery.power

.PHONY: check
check: install ## Format, lint, types, import contracts, lock freshness
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ops.lock --check

.PHONY: lock
lock: install ## Write requirements.lock anew from pyproject.toml
	$(BIN)/python -m ops.lock

LIVES ?= 1000000
SEED ?= 1

.PHONY: model
model: install ## Live whole payments without I/O, with every fault (LIVES=1000000 SEED=1)
	$(BIN)/python -m tests.model --lives $(LIVES) --seed $(SEED)

.PHONY: fuzz
fuzz: install ## Send the gateway many generated requests, and partners' readers many mutated bytes
	BURSAR_FUZZ_CASES=$${CASES:-2000} BURSAR_FUZZ_MUTATIONS=$${MUTATIONS:-100000} \
	  $(BIN)/pytest -p no:xdist --timeout 0 tests/badinput/test_openapi.py tests/badinput/test_partners.py

POSTGRES_15 ?= /usr/lib/postgresql/15/bin
# What the database itself promises: schema, guards, grants, the functions that write.
ON_15 := $(addprefix tests/ledger/test_,migrate.py guards.py writing.py holds.py)

.PHONY: test
test: install ## Run every test on real PostgreSQL and a real Temporal server
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder
	@if [ -x $(POSTGRES_15)/initdb ]; \
	then BURSAR_TEST_POSTGRES_BIN=$(POSTGRES_15) $(BIN)/pytest -n 2 --dist loadfile $(ON_15); \
	else echo "No PostgreSQL 15 in $(POSTGRES_15): the books were tested on 18 alone"; fi

ROUNDS ?= 10000
.PHONY: races
races: install ## Race cancel, claim, approval and spends: ROUNDS=10000 SEED=1
	$(BIN)/python -m tests.races --rounds $(ROUNDS) --seed $(SEED)

.PHONY: bench-ledger
bench-ledger: install ## Measure the books beside PostgreSQL's own floor (QUICK=1: two minutes)
	@$(BIN)/python -m benchmarks.ledger $(if $(QUICK),--quick,--report docs/benchmarks) $(ARGS)

.PHONY: bench-payouts
bench-payouts: install ## Measure payouts beside what Temporal itself costs (QUICK=1: two minutes)
	@$(BIN)/python -m benchmarks.payouts $(if $(QUICK),--quick,--report docs/benchmarks) $(ARGS)

.PHONY: bench
bench: install ## Run both benchmarks, whatever the first finds (QUICK=1: four minutes)
	@failed=0; for each in ledger payouts; do $(MAKE) --no-print-directory bench-$$each || failed=1; done; exit $$failed
