# Everything a user, a developer and CI call. Each target makes the environment it needs; a second call finds it ready.
#   make help     lists the targets
# Variables: PYTHON (3.11 or newer), PERCEPTION_DATA (folder of the labelled road data), PIP_FLAGS (such as -q).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: demo test test-double gpu-report check soak format clean distclean constraints help \
        check-format check-lint check-types check-imports check-tests check-numpy1

PYTHON ?= python3
PERCEPTION_DATA ?= $(abspath ../shared/data)
export PERCEPTION_DATA
PIP_FLAGS ?=

DEV := .venv/bin
DEMO := .venv-demo/bin
NP1 := .venv-np1/bin
INSTALL := -m pip --disable-pip-version-check install $(PIP_FLAGS) -c constraints.txt

# gates: what must be covered to 90 %; a file that needs a GPU is left out by its name in [tool.coverage.report] of pyproject.toml
COVERED := perception/core/*,perception/stages/*,perception/runtime/*
# the tests of what runs in the car: they need no torch
CAR_TESTS := $(addprefix tests/,core stages sources sinks backends runtime render)
# the others, a process a core: those above time things and would disturb one another
OTHER_TESTS := OMP_NUM_THREADS=1 $(DEV)/pytest -n logical --maxprocesses 4 $(addprefix --ignore=,$(CAR_TESTS))

# the labelled data is not part of the project: where it is absent its tests are deselected, and this says so
MARKERS := not gpu and not slow
ifneq ($(wildcard $(PERCEPTION_DATA)/camvid),)
DATA_NOTE := tests marked data: run on $(PERCEPTION_DATA)
else
MARKERS += and not data
DATA_NOTE := tests marked data: LEFT OUT, no labelled data in $(PERCEPTION_DATA) (set PERCEPTION_DATA)
endif

# TensorRT's Python bindings of several versions; a C compiler makes what stands in for TensorRT itself
ifneq ($(shell command -v g++),)
BINDINGS := .venv/bindings/.fetched
DOUBLE := test-double
GCC_NOTE := tests marked bindings and double: run
else
GCC_NOTE := tests marked bindings and double: LEFT OUT, no g++ on this machine (on Debian or Ubuntu: apt-get install g++)
endif

# an RTSP camera for the tests: the server of GStreamer, which is no Python package
ifneq ($(shell /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0"); from gi.repository import Gst; Gst.init(None); assert all(map(Gst.ElementFactory.find, ("x264enc", "rtph264pay")))' 2>/dev/null && echo yes),)
GST_NOTE := tests marked gstreamer: run
else
MARKERS += and not gstreamer
GST_NOTE := tests marked gstreamer: LEFT OUT, no RTSP server (on Debian or Ubuntu: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly)
endif

# a browser for the page of a run; playwright, which drives it, is in the development environment
ifneq ($(shell command -v chromium),)
BROWSER_NOTE := tests marked browser: run
else
MARKERS += and not browser
BROWSER_NOTE := tests marked browser: LEFT OUT, no Chromium (on Debian or Ubuntu: apt-get install chromium)
endif
MARKERS += and not double$(if $(BINDINGS),, and not bindings)

# $(call environment,FOLDER): a fresh virtual environment, or one line that says why there is none
define environment
@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) on this machine; install Python 3.11 or newer, or say make PYTHON=/path/to/python3" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old; Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; install it, on Debian or Ubuntu with: apt-get install python3-venv" >&2; exit 1; }
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

.venv/.installed: pyproject.toml constraints.txt
	$(call environment,.venv)
	@echo "installing the development environment into .venv, torch included: about 5.5 GB, several minutes"
	$(DEV)/python $(INSTALL) -e '.[dev]'
	@touch $@

.venv/bindings/.fetched: .venv/.installed tools/fetch_bindings.py tests/doubles/nvinfer.c
	$(DEV)/python tools/fetch_bindings.py .venv/bindings
	@touch $@

# pycuda, compiled once, and a driver that needs no GPU
.venv/cuda/libcuda.so.1: .venv/.installed tools/build_pycuda.py tests/doubles/libcuda.c
	$(DEV)/python tools/build_pycuda.py .venv/wheels
	$(DEV)/python $(INSTALL) .venv/wheels/pycuda-*.whl
	@mkdir -p $(@D)
	gcc -shared -fPIC -O1 -Wall -Wextra -pthread -Wl,-soname,libcuda.so.1 -o $@ tests/doubles/libcuda.c -ldl

.venv-demo/.installed: pyproject.toml constraints.txt
	$(call environment,.venv-demo)
	@echo "installing the base into .venv-demo, without torch"
	$(DEMO)/python $(INSTALL) -e .
	@touch $@

.venv-np1/.installed: pyproject.toml constraints.txt
	$(call environment,.venv-np1)
	$(NP1)/python $(INSTALL) --only-binary numpy,opencv-python -e '.[test,nuscenes]' 'numpy<2' 'opencv-python<4.12'
	@touch $@

demo: .venv-demo/.installed ## stream the shipped drive through the shipped model; results in runs/demo
	$(DEMO)/perception run --source demo --out runs/demo

test: .venv/.installed $(BINDINGS) $(DOUBLE) ## install the development environment and run the tests
	@echo "$(DATA_NOTE)"
	@echo "$(GCC_NOTE)"
	@echo "$(GST_NOTE)"
	@echo "$(BROWSER_NOTE)"
	$(DEV)/pytest -m "$(MARKERS)" $(CAR_TESTS)
	$(OTHER_TESTS) -m "$(MARKERS)"

test-double: .venv/cuda/libcuda.so.1 ## the TensorRT runner and its CUDA bindings, on a driver that needs no GPU
	LD_LIBRARY_PATH=.venv/cuda $(DEV)/pytest -m "double" tests/backends/device

check: check-format check-lint check-types check-imports check-tests $(DOUBLE) check-numpy1 ## every gate; CI runs the same

check-format: .venv/.installed
	$(DEV)/ruff format --check .

check-lint: .venv/.installed
	$(DEV)/ruff check .

check-types: .venv/.installed
	$(DEV)/mypy

check-imports: .venv/.installed
	$(DEV)/lint-imports

# Only what is covered is traced: under coverage, CPython 3.11 crashed within torch's exporter.
check-tests: .venv/.installed $(BINDINGS)
	@echo "$(DATA_NOTE)"
	@echo "$(GCC_NOTE)"
	@echo "$(GST_NOTE)"
	@echo "$(BROWSER_NOTE)"
	$(DEV)/pytest -m "$(MARKERS)" --cov --cov-report= $(CAR_TESTS)
	$(DEV)/coverage report --include='$(COVERED)' --fail-under=90
	$(OTHER_TESTS) -m "$(MARKERS)"

# the older NumPy, which other software on a car may still hold; it was released for Python 3.11 and 3.12
check-numpy1: .venv-np1/.installed
	$(NP1)/pytest -m "$(MARKERS)" $(CAR_TESTS) tests/datasets

soak: .venv/.installed ## the tests that take minutes: overload, kills, leaks
	$(DEV)/pytest -m "slow and not gpu$(if $(findstring not gstreamer,$(MARKERS)), and not gstreamer)"

gpu-report: .venv/.installed ## on a machine with a GPU: build, verify and time plans, and write it down to commit
	$(DEV)/pytest -m gpu tests/backends/device
	$(DEV)/python tools/gpu_report.py

format: .venv/.installed ## format and fix what can be fixed
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

constraints: .venv/.installed ## write the versions installed in .venv into constraints.txt
	$(DEV)/python tools/write_constraints.py constraints.txt

clean: ## remove caches and the demo's results
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage build runs/demo
	find perception tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove the environments; other runs stay
	rm -rf .venv .venv-demo .venv-np1 perception.egg-info

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1\t/' | expand -t 16
