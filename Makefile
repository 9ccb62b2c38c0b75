# The book, its tests and its exercises; `make help` lists what can be made.
# Every target sets the environment up first, in .venv, and finds it ready the next time.

PYTHON ?= python3

PY := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup book test test-claims lab notebooks exercises table matrix bench

# What a reader's shell holds must not change what the chapters print.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX MPLBACKEND MATPLOTLIBRC
export IPYTHONDIR := $(CURDIR)/.venv/ipython
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
export JUPYTER_PREFER_ENV_PATH := 1
# One thread in linear algebra: two chapters run side by side, and sums are added in one order.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

# Does the environment hold the parts, and this folder's byzlib rather than a moved one's?
PARTS := numpy scipy pandas matplotlib requests jupyterlab sphinx myst_nb nbval pytest ruff uv pip
CHECK := $(PY) -I -c 'import importlib.util as u, os, sys; \
  lib = u.find_spec("byzlib"); whole = lib and all(map(u.find_spec, "$(PARTS)".split())); \
  sys.exit(not (whole and os.path.samefile(lib.origin, "byzlib/__init__.py")))'

ifneq ($(wildcard $(READY)),)
  ifneq ($(shell $(CHECK) 2>/dev/null && echo whole),whole)
    $(shell rm -f $(READY))
  endif
endif

# Progress bars for people; a log gets errors only.
QUIET := $(shell test -t 2 || echo --quiet)
# In a container one is often root, and JupyterLab wants to be told that this is meant.
ROOT := $(shell test "$$(id -u)" = 0 && echo --allow-root)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s%s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make the environment in .venv (every other target does so too)
	@echo "The environment stands in .venv"

book: $(READY) ## execute every chapter and build the reading site
	@$(PY) -m notebooks.pages

test: $(READY) ## check style, library, book and every output of every chapter
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || \
	  { echo "Some files are not in one style: .venv/bin/ruff format ." >&2; exit 1; }
	@$(PY) -m pytest -n 2 --dist loadfile

test-claims: $(READY) ## plant errors in a copy of the library and see that each turns something red
	@$(PY) -m tests.planted_errors $(ONLY)

lab: exercises ## open the first chapter in JupyterLab
	@$(PY) -m jupyterlab notebooks/00_start_here.ipynb $(ROOT)

notebooks: $(READY) ## re-execute the chapters in place, with figures/ (ONLY="03 04" for some)
	@$(PY) -m notebooks.execute $(ONLY)

exercises: $(READY) ## derive the students' exercises into notebooks/exercises/student/
	@$(PY) -m notebooks.derive

table: $(READY) ## compute the accuracy table of chapter 09 (FRESH=--fresh: from scratch)
	@$(PY) -m notebooks.tables table $(FRESH)

matrix: $(READY) ## compute who breaks whom, for chapters 07, 09 and 16
	@$(PY) -m notebooks.tables matrix $(FRESH)

# All cores, unlike the book; PYTHON_BENCH=../bench/bin/python where the other libraries are.
BENCH := env -u OPENBLAS_NUM_THREADS -u OMP_NUM_THREADS $(or $(PYTHON_BENCH),$(PY))
bench: $(READY) ## time the library beside others (ONLY="median krum" SIZES="10x1000": some rules)
	@$(BENCH) -m benchmarks.rules $(if $(ONLY),--only $(ONLY)) $(if $(SIZES),--sizes $(SIZES))
	@$(if $(ONLY)$(SIZES),,$(BENCH) -m benchmarks.training)
	@$(if $(ONLY)$(SIZES),,$(BENCH) -m benchmarks.market)

$(READY): pyproject.toml constraints.txt
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "byzlib needs Python 3.11 or newer, and $(PYTHON) is not;" \
	      "name another one: make PYTHON=python3.12" >&2; exit 1; }; \
	  echo "Making .venv and installing the book's packages, once" >&2; \
	  "$(PYTHON)" -m venv --clear .venv >/dev/null 2>&1 || { \
	    "$(PYTHON)" -m venv --clear --without-pip .venv && \
	    "$(PYTHON)" -m pip --python .venv/bin/python install --quiet pip; }; }
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
# uv takes seconds; pip, slower, also knows the settings that a company gave it alone.
	@$(PY) -m uv pip install $(QUIET) -p .venv -c constraints.txt -e '.[book,test]' || { \
	  echo "uv did not manage; trying pip" >&2; \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,test]'; }
	@$(CHECK) || { echo "Repairing .venv" >&2; \
	  $(PY) -m uv pip install $(QUIET) -p .venv -c constraints.txt --reinstall -e '.[book,test]'; }
	@$(CHECK) || { echo ".venv is broken: delete it and try again" >&2; exit 1; }
	@$(PY) -W ignore -c 'import matplotlib.pyplot' 2>/dev/null
	@touch $@
