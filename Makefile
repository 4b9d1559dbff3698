# Needs make and Python 3.11 or newer with its venv module (Debian: python3-venv), nothing else.
#   make test                      everything that must hold
#   make test PYTHON=python3.13    with another interpreter (after `make clean`)

PYTHON ?= python3
SUITE ?= bookworm
# Half of the time a test waits for real processes and real seconds; more than two at once and
# those that listen to a clock begin to hear each other.
TEST_PROCESSES ?= 2
PAGE_PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FUZZ_INSTALLED := $(VENV)/.installed-fuzz
PAGE_INSTALLED := $(VENV)/.installed-page
PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint requirements.lock

# Nobody is there to answer a prompt, and nothing outside of the venv takes part.
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test pytest test-bluez test-page test-systemd deb lint format bench fuzz lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED)  ## .venv with the project, its dependencies as locked, and the tools

demo: $(INSTALLED)  ## the main job on a virtual lock and a virtual cloud
	$(BIN)/bleagent demo $(DEMO_ARGS)

test: lint pytest  ## everything that must hold: style, types, tests

pytest: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile \
		--ignore=tests/bench --ignore=tests/page --ignore=tests/systemd/booted
	$(BIN)/python -m pytest tests/bench

# The image is made from Debian packages, which apt-get fetches where it may.
#   make test-bluez SUITE=trixie    BlueZ 5.82 on kernel 6.12 instead of 5.66 on 6.1
test-bluez: $(INSTALLED)  ## against a real kernel and a real BlueZ, in a small virtual machine
	image=$$(SUITE=$(SUITE) tests/bluez/appliance/build.sh build/bluez-vm) && \
		BLUEZ_VM_IMAGE=$$image $(BIN)/python -m pytest tests/bluez/vm

# Chromium is the machine's (Debian: chromium); without it the tests are skipped, and say so.
test-page: $(PAGE_INSTALLED)  ## the page for people in a real browser before the real daemon
	$(BIN)/python -m pytest tests/page --numprocesses=$(PAGE_PROCESSES) --dist=worksteal

# Built with Debian's own python3, which it runs on; PYTHON only brings pip.
deb:  ## the Debian package, for the Debian and the architecture of this machine: build/*.deb
	PYTHON=$(PYTHON) systemd/debian/build.sh build

# Debian, root and a kernel that lets nspawn boot; where one is missing the tests are skipped, and
# say so. A root is made once, which takes half a minute; where it is kept is anybody's choice.
SYSTEMD_ROOTS ?= build/systemd-root
test-systemd: $(INSTALLED)  ## the package under a booted systemd, in a container
	root=$$(tests/systemd/booted/root.sh $(SYSTEMD_ROOTS)) || true; \
		package=$(or $(BLEAGENT_DEB),$$(PYTHON=$(PYTHON) systemd/debian/build.sh build)) || true; \
		image=$$(SUITE=$(SUITE) tests/bluez/appliance/build.sh build/bluez-vm) || true; \
		BLEAGENT_SYSTEMD_ROOT=$$root BLEAGENT_DEB=$$package BLUEZ_VM_IMAGE=$$image \
		$(BIN)/python -m pytest tests/systemd/booted

lint: $(INSTALLED)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## rewrite the sources as ruff wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## the codec beside bare primitives, an unlock beside its floor, HTTP, many callers, the start, idling, listening, records
	$(BIN)/python tests/bench/bench_codec.py $(BENCH_ARGS)
	$(BIN)/python tests/bench/bench_unlock.py $(BENCH_ARGS)
	$(BIN)/python tests/bench/bench_http.py $(BENCH_ARGS)
	$(BIN)/python tests/bench/bench_load.py $(BENCH_ARGS)
	$(BIN)/python tests/bench/bench_start.py $(BENCH_ARGS)
	$(BIN)/python tests/bench/bench_idle.py
	$(BIN)/python tests/bench/bench_scan.py
	$(BIN)/python tests/bench/bench_records.py $(BENCH_ARGS)

fuzz: $(FUZZ_INSTALLED)  ## every parser under atheris; FUZZ_ARGS goes to tests/fuzz/run.py
	$(BIN)/python tests/fuzz/run.py $(FUZZ_ARGS)

lock:  ## choose requirements.lock anew, within the ranges of pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv
	$(VENV)-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--all-extras --no-header --no-annotate --output-file requirements.lock pyproject.toml
	rm -rf $(VENV)-lock

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-lock build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find protocol bleagent tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv is made anew whenever what should be in it has changed: nothing old lingers in it.
$(INSTALLED): pyproject.toml requirements.lock
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

$(PAGE_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) --editable '.[dev,page]'
	@touch $@

$(FUZZ_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) --editable '.[dev,fuzz]'
	@touch $@
