# Every target does its own set-up: a machine needs Python 3.11 or newer, make and the package index.
# `make` alone lists the targets; CONTRIBUTING.md says which one to use when.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
unexport PYTHONPATH PYTHONHOME

# A checkout that was moved is installed again: its old address stands in the environment.
HERE := $(shell pwd | cksum | cut -d' ' -f1)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready-$(HERE)
BROWSER := $(VENV)/.browser-$(HERE)
NEURAL := $(VENV)/.neural-$(HERE)

# The first Python that will do; `make PYTHON=/path/to/python ...` takes another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)

# Tests run side by side, so each keeps to one thread.
JOBS ?= auto
one_thread := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1

.PHONY: help setup demo test lint types tests superlink e2e e2e-local images chaos faults \
	browser neural one format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## install into .venv (every other target does it when needed)

demo: $(READY) ## six made-up institutions train one private model, in about a minute
	@$(VENV)/bin/fedcredit demo

test: lint types tests ## every gate: lint, types, tests, coverage

lint: $(READY) ## style, format and the floors of the house
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo

types: $(READY) ## mypy --strict
	@$(PY) -m mypy --strict

tests: $(READY) ## tests and doctests, with branch coverage: 100 % of privacy, 90 % of all
	@$(one_thread) $(PY) -m pytest -n $(JOBS) --cov --cov-report=
	@$(PY) -m coverage report --include='fedcredit/privacy/*' --fail-under=100
	@$(PY) -m coverage report

superlink: $(READY) ## a study over a stock Flower SuperLink with stock nodes: some minutes
	@$(one_thread) $(PY) -m pytest tests/superlink

e2e-local: $(READY) ## the same as plain processes, as root in network namespaces: some minutes
	@$(one_thread) $(PY) -m pytest tests/consortium/test_consortium.py \
		tests/consortium/test_leaving.py

chaos: $(READY) ## a consortium that is killed, cut off and full: half an hour, needs root
	@$(one_thread) $(PY) -m pytest -s tests/consortium/test_chaos.py tests/consortium/test_kills.py

# More words for podman build, such as --network=host where only the machine reaches the index.
BUILD ?=
# Where pip finds torch's build for the processor, for one more image: docs/containers.md.
TORCH ?=

images: ## the containers' images, by podman, and their sizes: some minutes the first time
	@command -v podman >/dev/null || { echo 'podman is not installed.' >&2; \
		echo '  fix: on Debian and Ubuntu: apt-get install podman podman-compose' >&2; exit 1; }
	@for target in coordinator node auditor scoring database; do \
		podman build --quiet $(BUILD) --target "$$target" -t "localhost/fedcredit-$$target" . \
			>/dev/null || exit 1; \
	done
	@test -z "$(TORCH)" || podman build --quiet $(BUILD) --build-arg TORCH="$(TORCH)" \
		--target node-neural -t localhost/fedcredit-node-neural . >/dev/null
	@podman images --filter reference='localhost/fedcredit-*' --format '{{.Repository}} {{.Size}}'

e2e: $(READY) images ## a consortium in containers, from nothing to the auditor: some minutes
	@command -v podman-compose >/dev/null || { echo 'podman-compose is not installed.' >&2; \
		echo '  fix: on Debian and Ubuntu: apt-get install podman-compose' >&2; exit 1; }
	@$(one_thread) $(PY) -m pytest tests/containers

faults: $(READY) ## kills, full disks, put-back ledgers, lying witnesses: some minutes, needs root
	@$(one_thread) $(PY) -m pytest -n $(JOBS) --dist worksteal -o norecursedirs='.*' tests/faults

browser: $(BROWSER) ## all pages in a headless Chromium, which must be there: two minutes
	@$(one_thread) $(PY) -m pytest tests/browser

neural: $(NEURAL) ## what needs PyTorch: per-record gradients, studies of networks: some minutes
	@$(one_thread) $(PY) -m pytest -n $(JOBS) tests/neural

one: $(READY) ## one test: make one T=tests/privacy/test_sums.py
	@test -n "$(T)" || { echo 'which test? make one T=tests/privacy/test_sums.py' >&2; exit 2; }
	@$(one_thread) $(PY) -m pytest $(T)

format: $(READY) ## rewrite the files as ruff would have them
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock: $(READY) ## write uv.lock after pyproject.toml has changed
	@$(PY) -m uv lock --no-config --default-index https://pypi.org/simple

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'fedcredit needs Python 3.11 or newer, and found none.' >&2; \
		echo '  fix: install it, or name it: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo '$(PYTHON) is older than Python 3.11.' >&2; \
		echo '  fix: name a newer one: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { echo 'Python could not make a virtual environment.' >&2; \
		echo '  fix: on Debian and Ubuntu, install the package python3-venv' >&2; exit 1; }
	@echo 'Installing fedcredit and its tools into $(VENV): once, for a minute or two.' >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

$(BROWSER): $(READY)
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	@touch $(BROWSER)

$(NEURAL): $(READY)
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[bench,dev,neural,onnx,serve]'
	@touch $(NEURAL)
