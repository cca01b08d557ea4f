# The two main commands are `make repro` and `make test`. Both first create the environment if it is missing.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
GROUPS := test lint docs
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
# Variables of the user are text: make does not expand them, and the shell reads names from its environment, so
# that no name is run as a command. PYTHON, TESTS, CHAOS and UI are parts of commands: the shell parses them.
NAMES := EXPERIMENT DATASET TARGET QUICK SET LABELMINT_MIRROR UV_TORCH_BACKEND PYTHON TESTS CHAOS UI
$(foreach name,$(NAMES),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))
# A relative mirror is relative to this folder, wherever a stage runs.
ifneq ($(LABELMINT_MIRROR),)
ifeq ($(findstring ://,$(LABELMINT_MIRROR)),)
override export LABELMINT_MIRROR := $(abspath $(LABELMINT_MIRROR))
endif
endif

.DEFAULT_GOAL := help
.PHONY: help env repro test test-system test-all coverage chaos lint sbom docs bench lock ui clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

env: $(READY) ## create the environment of a run in .venv from requirements.lock

# UV_TORCH_BACKEND=cpu takes the locked version of PyTorch, without CUDA, from PyTorch's index. It has no hashes,
# since that index serves other builds than those in the lock; everything else is installed by hash. Bytecode is
# compiled once: with PYTHONDONTWRITEBYTECODE, as in many containers, every process would compile torch again.
BUILDS := torch|torchvision|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+
INSTALL := VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
ifeq ($(UV_TORCH_BACKEND),)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
else
	@awk '/^[a-z]/ {kept = /^nvidia-ml-py==/ || !/^($(BUILDS))==/} kept' requirements.lock >.venv/hashed.lock
	@$(INSTALL) --no-deps --require-hashes --requirements .venv/hashed.lock
	@$(INSTALL) --no-verify-hashes --constraint requirements.lock torch torchvision
endif
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pipeline.dvc.vega .venv/vega.js
	@$(BIN)/python -m pipeline.flow.new_database .venv/prefect.db
	@touch $@

# The lock of a group names only packages that requirements.lock lacks.
$(GROUPS:%=.venv/.%): .venv/.%: requirements-%.lock $(READY)
	@$(INSTALL) --no-deps --require-hashes --requirements $<
	@touch $@

repro: $(READY) ## reproduce the whole pipeline; EXPERIMENT=name, DATASET=name pick experiments/name.yaml, QUICK=1 its quick size, SET="name=value" single settings
	@test -e .git || test "$$($(BIN)/dvc config core.no_scm)" = true || { echo "error: $(CURDIR) is not a git repository, which DVC needs: git init, or git clone" >&2; exit 2; }
	@PATH="$(CURDIR)/$(BIN):$$PATH"; \
	python -m pipeline.dvc.workspace_lock bash -fc '$(if $(EXPERIMENT)$(DATASET)$(QUICK)$(SET),labelmint use $(if $(QUICK),--quick) $(if $(SET),-S "$$SET") -- $(if $(EXPERIMENT)$(DATASET)$(QUICK),$${EXPERIMENT:-default} $$DATASET) &&) labelmint check && python -m pipeline.reproduction $$TARGET $(if $(filter-out report,$(TARGET)),,&& labelmint results)'

# One process per core and one thread per process: results do not depend on it, and processes do not compete.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist worksteal
test: .venv/.test ## run the unit and integration tests, in minutes
	@$(PYTEST) $(if $(TESTS),$(TESTS),tests/unit tests/integration)

test-system: .venv/.test .venv/.lint ## run the system tests: processes, servers, browser, chaos
	@$(PYTEST) --dist loadgroup $(if $(TESTS),$(TESTS),tests/system)

test-all: test test-system ## run everything

coverage: .venv/.test ## run the unit and integration tests and show the uncovered lines
	@$(PYTEST) --cov=labelmint --cov=stages --cov=pipeline --cov-report=term-missing:skip-covered $(if $(TESTS),$(TESTS),tests/unit tests/integration)

chaos: .venv/.test ## kill runs at random moments and break the machine under them, for hours; CHAOS="--help" shows its options
	@$(BIN)/python -m tests.system.chaos.campaign $(CHAOS)

lint: .venv/.test .venv/.lint ## check style, types, imports, insecure code and vulnerable dependencies (skipped offline)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive labelmint stages pipeline benchmarks .ci
	@$(BIN)/python .ci/audit.py requirements.lock

# The file is not validated against CycloneDX's schema: that takes minutes for so many packages.
sbom: .venv/.lint ## write sbom.json, the environment's packages as a CycloneDX bill of materials
	@$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --output-format JSON --no-validate -o sbom.json 2>/dev/null

docs: .venv/.docs ## build the documentation as a site in .site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

ui: $(READY) ## serve Prefect's pages at http://127.0.0.1:4200 and MLflow's at http://127.0.0.1:5000 until Ctrl-C
	@$(BIN)/labelmint ui $(UI)

bench: .venv/.test ## run the benchmarks of this machine's CPU; benchmarks/gpu.py is for a GPU
	@for name in layers classifier decoding engine evaluate overhead; do $(BIN)/python benchmarks/$$name.py || exit 1; done

COMPILE := VIRTUAL_ENV=.venv $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml
EXTRAS := --extra huggingface --extra postgresql --extra s3 --extra tensorboard
lock: ## write requirements.lock and those of the groups test, lint and docs from pyproject.toml
	@$(COMPILE) $(EXTRAS) --group build $(GROUPS:%=--group %) --constraint requirements.lock -o .venv/all.lock
	@$(COMPILE) --group build --constraint .venv/all.lock -o requirements.lock
	@for group in $(GROUPS); do \
	  $(COMPILE) $(EXTRAS) --group $$group --constraint .venv/all.lock -o .venv/$$group.lock; \
	  awk '/^[a-z0-9]/ {kept = !($$1 in known); if (NR == FNR) known[$$1]} NR > FNR && kept' requirements.lock .venv/$$group.lock >requirements-$$group.lock; \
	done

# What stays: data/raw, which holds imported images, and settings, also those that `labelmint use` replaced.
MADE := .venv .checkpoints .results .servers .tracking .dvc/cache .dvc/tmp reports dvc_plots mlflow.db* mlartifacts tensorboard \
  compare.png screenshots .site sbom.json .coverage .hypothesis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
clean: ## delete what runs and tests have made, with the records of all runs; not data/raw and settings
	rm -rf $(MADE) $(filter-out data/raw data/README.md,$(wildcard data/*)) data/.prepare
	find . -name __pycache__ -prune -exec rm -rf {} +
