# The two commands: make run, make test. Everything else serves them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON3 ?= $(shell command -v python3.11 || command -v python3)
# Running needs the image's packages only. Who has run the tests keeps both locks installed.
LOCK = $(if $(wildcard $(VENV)/.dev),dev,base)
PORT ?= 8000
ARGS ?=
IMAGE ?= cancer-prediction-system:latest
WORKERS ?= 2

.PHONY: help install run test test-long lint format lock viewer messages image k8s-check policy-check migrations-check kubeflow-venv pipeline

help:  ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

install: $(VENV)/.$(LOCK)  ## create .venv and install the locked requirements

run: install  ## start everything on this machine for a first try (PORT=8000)
	@PORT=$(PORT) exec $(BIN)/python -m scripts.run_demo

test: $(VENV)/.dev  ## the test suite on throwaway servers; narrow it with ARGS="-k name"
	@scripts/system_packages.sh test
	$(BIN)/pytest -m "not long" $(if $(ARGS),,-n $(WORKERS) --dist loadgroup) $(ARGS)

test-long: $(VENV)/.dev  ## what takes longer: fuzzing, whole trainings, long stories
	@scripts/system_packages.sh test
	$(BIN)/pytest -m long $(ARGS)

lint: $(VENV)/.dev migrations-check k8s-check  ## linters, import rules, templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet templates apps

format: $(VENV)/.dev  ## put the code in its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

migrations-check: $(VENV)/.dev  ## no model change without its migration
	@SECRET_KEY=lint $(BIN)/python -W ignore manage.py makemigrations --check --dry-run

k8s-check: $(VENV)/.dev  ## build every overlay and check it against the schemas
	@scripts/system_packages.sh k8s
	$(BIN)/python -m scripts.check_manifests

policy-check: $(VENV)-checkov/.done  ## hold the built manifests against checkov's rules
	@scripts/system_packages.sh k8s
	@scripts/check_policy.sh $(VENV)-checkov/bin/checkov

kubeflow-venv: $(VENV)-kubeflow/.done  ## the environment of kfp, apart from the program's

pipeline: kubeflow-venv  ## compile the training pipeline into k8s/kubeflow/pipeline.yaml
	$(VENV)-kubeflow/bin/python apps/classifier/pipeline.py k8s/kubeflow/pipeline.yaml

lock:  ## pin requirements/*.in with hashes (needs uv)
	cd requirements && uv pip compile -q --python-version 3.11 --generate-hashes base.in -o base.txt
	cd requirements && uv pip compile -q --python-version 3.11 --generate-hashes -c base.txt dev.in -o dev.txt
	cd requirements && uv pip compile -q --python-version 3.11 --generate-hashes -c base.txt tensorflow-gpu.in -o tensorflow-gpu.txt
	cd requirements && uv pip compile -q --python-version 3.11 --generate-hashes checkov.in -o checkov.txt
	cd requirements && uv pip compile -q --python-version 3.11 --generate-hashes kubeflow.in -o kubeflow.txt

messages: $(VENV)/.dev  ## collect the words of the pages for locale/, and compile them (needs gettext)
	@SECRET_KEY=lint $(BIN)/python -W ignore manage.py makemessages -l de --no-location --no-obsolete -i "tests/*" -i "var/*" -i "viewer/*"
	@SECRET_KEY=lint $(BIN)/python -W ignore manage.py compilemessages -l de

viewer:  ## rebuild static/viewer from its lock file (needs node)
	cd viewer && npm ci && npm run build

image:  ## build the one image with docker or podman
	$(shell command -v docker || command -v podman || echo docker) build -t $(IMAGE) .

$(VENV)/bin/python:
	@scripts/system_packages.sh run
	@"$(PYTHON3)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed; name it with PYTHON3=/path/to/python3.11"; exit 1; }
	@"$(PYTHON3)" -m venv $(VENV)

$(VENV)/.base: requirements/base.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/base.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $(VENV)/.base $@

# Tools whose pins and ours do not go together, each in an environment of its own.
$(VENV)-checkov/.done $(VENV)-kubeflow/.done: $(VENV)-%/.done: requirements/%.txt
	@"$(PYTHON3)" -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
