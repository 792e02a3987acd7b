# Every target makes what it needs first: `make demo` and `make test` work in a fresh clone with nothing but Python 3.11 or newer
# (tests on real Apache Kafka also want Java 17 and Maven, and are skipped without).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/.installed
KAFKA_VERSION := $(shell sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' tests/apache_kafka/pom.xml)
PYTEST_ARGS ?=
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.PHONY: help venv demo test pytest check lint format types layers lock upgrade bench proof docs picture kafka build clean

help:  ## this list
	@echo 'make TARGET, where TARGET is one of'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 12

venv: $(STAMP)  ## the virtual environment, from the locked versions (VENV=.venv, PYTHON=python3.11)

# Installs only what differs, so a virtual environment that is there already is brought up to date, not thrown away.
$(STAMP): pyproject.toml requirements/dev.txt
	@test -n '$(PYTHON)' || { echo 'expected Python 3.11 or newer, found none: install it, or say make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo 'making $(VENV) with $(PYTHON)'; $(PYTHON) -m venv --clear $(VENV); }
	@echo 'installing the versions of requirements/dev.txt into $(VENV)'
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## a stream with planted corruptions, and the alerts that catch them; needs no Kafka
	@$(BIN)/stream-monitor demo

test: check kafka pytest  ## everything that must hold: lint, types, layers, all tests (on real Apache Kafka where there is Java)

# The tests on Apache Kafka come one after the other: their brokers and processes fill two cores by themselves.
pytest: $(STAMP)  ## the tests alone (PYTEST_ARGS='-k words')
	@$(PY) -m pytest -n 2 -m 'not kafka' $(PYTEST_ARGS) || [ $$? = 5 ]
	@$(PY) -m pytest -m kafka $(PYTEST_ARGS) || [ $$? = 5 ]

check: lint types layers  ## lint, types and layers

lint: $(STAMP)  ## ruff
	@$(BIN)/ruff check .

format: $(STAMP)  ## what ruff can mend by itself
	@$(BIN)/ruff check --fix .

types: $(STAMP)  ## mypy, strict, over the whole package
	@$(BIN)/mypy

layers: $(STAMP)  ## each floor imports only from those below it
	@$(BIN)/lint-imports --no-logo

lock: $(STAMP)  ## requirements/*.txt anew from pyproject.toml, versions kept where they can be
	@$(COMPILE) $(LOCK_ARGS) --output-file requirements/runtime.txt pyproject.toml
	@$(COMPILE) $(LOCK_ARGS) --only-build-deps --build-deps-for wheel --output-file requirements/build.txt pyproject.toml
	@$(COMPILE) $(LOCK_ARGS) --extra parquet --extra demo --extra test --extra dev --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt pyproject.toml

upgrade:  ## as lock, with the newest versions
	@$(MAKE) lock LOCK_ARGS=--upgrade

bench: $(STAMP)  ## speed of the core, in records/s
	@for script in benchmarks/*speed*.py; do echo "== $$script"; $(PY) $$script; done

proof: $(STAMP) kafka  ## the whole line on three brokers, with kills: ADULT=adult.csv.gz, RECORDS=2000000; 13 minutes
	@$(PY) -m benchmarks.proof $(if $(ADULT),--adult '$(ADULT)') $(if $(RECORDS),--records $(RECORDS))

docs: $(STAMP)  ## what is made of the code in docs/: the AsyncAPI document, the table of settings
	@$(PY) -m stream_monitor.streaming.asyncapi > docs/asyncapi.yaml
	@$(PY) docs/settings_table.py

picture: $(STAMP)  ## the picture of the README, from a demo (two minutes)
	@$(PY) docs/picture.py

kafka: $(STAMP)  ## the jars of Apache Kafka, once, from Maven Central into .cache/
	@if [ -d .cache/kafka-$(KAFKA_VERSION) ]; then :; \
	elif [ '$(CI)' = true ] || { command -v java && command -v mvn; } >/dev/null; then $(PY) -m tests.apache_kafka.jars; \
	else echo 'no Java 17 or no Maven here: the tests on Apache Kafka will be skipped'; fi

build: $(STAMP)  ## the wheel and the source archive, in dist/
	@$(PY) -m build --no-isolation

clean:  ## removes what the other targets made
	@rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
