# Two commands do everything: `make repro` and `make test`. Both make the environment first, if it is not there yet.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
# What a person sets is text: make expands nothing in it, and the shell takes names from its environment, so that none is ever read as a
# command. PYTHON, TESTS, CHAOS and UI are parts of commands, read by the shell as if they were typed there.
SET := EXPERIMENT DATASET TARGET QUICK LABELMINT_MIRROR UV_TORCH_BACKEND PYTHON TESTS CHAOS UI
$(foreach name,$(SET),$(if $(value $(name)),$(eval override export $(name) := $$(value $(name)))))
# A relative mirror is meant from here, wherever a stage runs.
ifneq ($(LABELMINT_MIRROR),)
ifeq ($(findstring ://,$(LABELMINT_MIRROR)),)
override export LABELMINT_MIRROR := $(abspath $(LABELMINT_MIRROR))
endif
endif

.DEFAULT_GOAL := help
.PHONY: help env repro test coverage chaos lint sbom docs bench lock ui clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

env: $(READY) ## create the environment in .venv from requirements.lock

# With UV_TORCH_BACKEND=cpu the locked version of PyTorch comes from its own index, without CUDA and without hashes, since that index
# serves other builds than those the lock's hashes name; all else comes with its hash. Bytecode is made here once: where
# PYTHONDONTWRITEBYTECODE is set, as in many containers, every process would compile torch and Prefect anew.
BUILDS := torch|torchvision|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
ifeq ($(UV_TORCH_BACKEND),)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
else
	@awk '/^[a-z]/ {kept = /^nvidia-ml-py==/ || !/^($(BUILDS))==/} kept' requirements.lock >.venv/hashed.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --require-hashes --requirements .venv/hashed.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --no-verify-hashes --constraint requirements.lock torch torchvision
endif
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

repro: $(READY) ## reproduce the whole pipeline; EXPERIMENT=name, DATASET=name pick experiments/name.yaml, QUICK=1 its quick size
	@PATH="$(CURDIR)/$(BIN):$$PATH"; \
	python -m pipeline.dvc.workspace_lock bash -fc '$(if $(EXPERIMENT)$(DATASET)$(QUICK),labelmint use $(if $(QUICK),--quick) -- $${EXPERIMENT:-default} $$DATASET &&) labelmint check && dvc repro $$TARGET $(if $(filter-out report,$(TARGET)),,&& labelmint results)'

test: $(READY) ## run all tests
	@$(BIN)/python -m pytest $(TESTS)

coverage: $(READY) ## run all tests and show the lines that none of them runs
	@$(BIN)/python -m pytest --cov=pipeline --cov=stages --cov-report=term-missing:skip-covered $(TESTS)

chaos: $(READY) ## kill runs at random moments and break the machine under them, for hours; CHAOS="--help" shows its options
	@$(BIN)/python -m tests.chaos.campaign $(CHAOS)

lint: $(READY) ## check style and types, look for insecure code and for vulnerable dependencies (skipped offline)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pipeline stages benchmarks .ci
	@$(BIN)/python .ci/audit.py requirements.lock

# Not validated against CycloneDX's schema as it is written: that takes minutes for so many packages.
sbom: $(READY) ## write sbom.json, the environment's packages as a CycloneDX bill of materials
	@$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --output-format JSON --no-validate -o sbom.json 2>/dev/null

docs: $(READY) ## build the documentation as a site in .site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

ui: $(READY) ## serve Prefect's pages at http://127.0.0.1:4200 and MLflow's at http://127.0.0.1:5000 until Ctrl-C
	@$(BIN)/labelmint ui $(UI)

bench: $(READY) ## run the benchmarks of this machine's CPU; benchmarks/gpu.py is for a GPU
	@for name in layers classifier decoding engine overhead; do $(BIN)/python benchmarks/$$name.py || exit 1; done

lock: ## write requirements.lock anew from pyproject.toml
	@VIRTUAL_ENV=.venv $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra dev --extra huggingface --extra postgresql --extra s3 --python-version 3.11 pyproject.toml -o requirements.lock

clean: ## delete everything that can be made again
	rm -rf .venv data reports .results .checkpoints .tracking .servers mlflow.db mlartifacts .dvc/cache .dvc/tmp
