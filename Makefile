# The book, its tests and its exercises; `make help` lists what can be made.
# Every target sets the environment up first, in .venv, and finds it ready the next time.
# Where this folder cannot be written: make book VENV=/another/place BUILD=/another/place/site

PYTHON ?= python3
VENV := .venv
BUILD := _build
# What is asked for is typed after make; a shell may mean something else by such a name.
$(foreach name,ONLY VARIANTS SIZES FRESH FOLDER ARGS RECORD LAB DIR SUBMISSIONS,$(eval $(name) :=))

ifneq ($(words $(VENV))$(findstring ~,$(VENV)),1)
  $(error VENV names one folder, without a blank or a ~ in it; got "$(VENV)")
endif

# What a federation needs pins other versions than the book does: it has a place of its own.
WANTED := book,test
PINS := constraints.txt
ifneq ($(filter federation test-federation,$(MAKECMDGOALS)),)
  override VENV := $(VENV)-federation
  WANTED := flower,test
  PINS := constraints-federation.txt
endif
# nbgrader adds itself to JupyterLab, where only a teacher wants it.
ifneq ($(filter course grade grade-demo slides,$(MAKECMDGOALS)),)
  override VENV := $(VENV)-course
  WANTED := book,test,course
endif

PY := $(VENV)/bin/python
READY := $(VENV)/.ready
BROWSER := $(VENV)/.browser
PLACE := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup book pdf test test-all test-site test-portable test-claims style lab notebooks
.PHONY: exercises table matrix candles trade bench federation test-federation writable
.PHONY: course grade grade-demo slides tournament

# What a reader's shell holds must not change what is installed, tested, and printed.
unexport $(filter PYTHON% PYTEST_%,$(.VARIABLES))
unexport VIRTUAL_ENV CONDA_PREFIX MPLBACKEND MATPLOTLIBRC JUPYTER_PATH
unexport $(addprefix PIP_,CONSTRAINT DRY_RUN NO_BINARY NO_DEPS ONLY_BINARY PLATFORM PREFIX PYTHON)
unexport $(addprefix PIP_,REQUIRE_HASHES REQUIRE_VIRTUALENV REQUIREMENT ROOT TARGET USER)
unexport $(addprefix UV_,CONSTRAINT NO_BINARY NO_BUILD ONLY_BINARY OVERRIDE PRERELEASE PYTHON)
unexport $(addprefix UV_,REQUIRE_HASHES RESOLUTION SYSTEM_PYTHON)
export PYTHONUTF8 := 1
export IPYTHONDIR := $(PLACE)/ipython
export MPLCONFIGDIR := $(PLACE)/matplotlib
export RUFF_CACHE_DIR := $(PLACE)/ruff
export JUPYTER_RUNTIME_DIR := $(PLACE)/runtime
export JUPYTER_PREFER_ENV_PATH := 1
export DIST_EXTRA_CONFIG := $(PLACE)/setup.cfg
# In a container one may be a user without a home, or with one that cannot be written.
ifeq ($(shell test -d "$$HOME" -a -w "$$HOME" && echo home),)
  export HOME := $(PLACE)/home
endif
# One thread in linear algebra: two chapters run side by side, and sums are added in one order.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

# Does the environment hold the parts, and this folder's byzlib rather than a moved one's?
PARTS := numpy scipy pandas matplotlib requests nbval pytest ruff uv pip
PARTS += $(if $(filter book%,$(WANTED)),jupyterlab sphinx myst_nb,flwr)
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
UV = $(PY) -m uv pip install $(QUIET) -p $(VENV) -c $(PINS) -e
# In a container one is often root, and JupyterLab wants to be told that this is meant.
ROOT := $(shell test "$$(id -u)" = 0 && echo --allow-root)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s%s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make the environment in .venv, as every other target does (VENV=/another/place)
	@echo "The environment stands in $(VENV)"

book: $(READY) ## execute every chapter and build the reading site
	@$(PY) -m notebooks.build_site "$(BUILD)"

pdf: book $(BROWSER) ## print the whole book, answers last, into _build/book.pdf
	@$(PY) -m notebooks.build_pdf "$(BUILD)"

PYTEST := $(PY) -m pytest -n 2 --dist loadfile
test: style ## check style, library, book and every output of every chapter
	@$(PYTEST)

test-all: style ## the same with all that is slow and seldom fails, and the planted errors
	@$(PYTEST) -m ""
	@$(PY) -m tests.planted_errors

test-site: $(BROWSER) ## open every page in a browser, wide and narrow, light and dark
	@$(PYTEST) -m "" tests/test_browser.py

test-portable: $(READY) ## play the book as other machines and seeds would (ONLY=07 VARIANTS=jitter)
	@$(PY) -m tests.portable $(if $(ONLY),--only $(ONLY)) $(if $(VARIANTS),--variants $(VARIANTS))

style: $(READY)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || \
	  { echo "Some files are not in one style: $(VENV)/bin/ruff format ." >&2; exit 1; }

test-claims: $(READY) ## plant errors in a copy of the library and see that each turns something red
	@$(PY) -m tests.planted_errors $(ONLY)

lab: exercises ## open the first chapter in JupyterLab
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ROOT) $(LAB)

notebooks: $(READY) ## re-execute the chapters in place, with figures/ (ONLY="03 04" for some)
	@$(PY) -m notebooks.execute $(ONLY)

exercises: $(READY) ## derive the students' exercises into notebooks/exercises/student/
	@$(PY) -m notebooks.make_exercises

table: $(READY) ## compute the accuracy table of chapter 11 (FRESH=--fresh: from scratch)
	@$(PY) -m notebooks.make_results table $(FRESH)

matrix: $(READY) ## compute who breaks whom, for chapters 09, 11 and 19
	@$(PY) -m notebooks.make_results matrix $(FRESH)

candles: $(READY) ## compute the figures on real candles, from FOLDER=/your/files
	@$(PY) -m notebooks.make_results candles "$(FOLDER)" $(FRESH)

trade: $(READY) ## train on today's candles (ARGS=--sample: simulated ones; ARGS=--help: what else)
	@$(PY) examples/trading_example.py $(ARGS)

# PYTHON_BENCH=../bench/bin/python where the other libraries are.
BENCH = $(or $(PYTHON_BENCH),$(PY))
bench: $(READY) ## time the library beside others (ONLY="median krum" SIZES="10x1000": some rules)
	@$(BENCH) -m benchmarks.rules $(if $(ONLY),--only $(ONLY)) $(if $(SIZES),--sizes $(SIZES))
	@$(if $(ONLY)$(SIZES),,$(BENCH) -m benchmarks.training && $(BENCH) -m benchmarks.gpu)

federation: $(READY) ## train over a real network on this machine, with liars (RECORD=folder)
	@$(PY) -m examples.federation $(if $(RECORD),--record "$(RECORD)")

test-federation: $(READY) ## test the strategies for Flower, in this process and over a network
	@$(PY) -m pytest tests/test_flower.py

course: $(READY) ## make what a class is given, in _build/course/release
	@$(PY) -m course.make_course "$(BUILD)/course"

grade: $(READY) ## mark SUBMISSIONS=/their/folders into _build/course/grades.csv and feedback
	@$(PY) -m course.grade "$(BUILD)/course" "$(SUBMISSIONS)"

grade-demo: $(READY) ## mark submissions of every kind, good and sly, and check the marks
	@$(PY) -m course.demo "$(BUILD)/grade-demo"

slides: $(READY) ## derive slides from four chapters, into _build/slides
	@$(PY) -m course.make_slides "$(BUILD)/slides"

tournament: $(READY) ## play the attacks and rules in DIR=/their/files against each other
	@$(PY) -m course.tournament "$(DIR)" "$(BUILD)/tournament" $(ARGS)

writable:
	@mkdir -p $(VENV) 2>/dev/null && test -w $(VENV) || { \
	  echo "$(PLACE) cannot be written; name another place: make $(MAKECMDGOALS)" \
	    "VENV=/another/place$(if $(filter book,$(MAKECMDGOALS)), BUILD=/another/place/site)" >&2; \
	  exit 1; }
	@test $(VENV) = .venv || test -z "$$(ls -A $(VENV))" || grep -qs byzlib $(VENV)/pyvenv.cfg || { \
	  echo "$(PLACE) holds something else; VENV names an empty folder, or a new one" >&2; exit 1; }

$(READY): pyproject.toml $(PINS) | writable
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "byzlib needs Python 3.11 or newer, and $(PYTHON) is not;" \
	      "name another one: make PYTHON=python3.12" >&2; exit 1; }; \
	  echo "Making $(VENV) and installing the packages, once" >&2; \
	  "$(PYTHON)" -m venv --clear --prompt byzlib $(VENV) >/dev/null 2>&1 || { \
	    "$(PYTHON)" -m venv --clear --prompt byzlib --without-pip $(VENV) && \
	    "$(PYTHON)" -m pip --python $(PY) install --quiet pip; }; }
	@echo '*' > $(VENV)/.gitignore
# What setuptools notes of byzlib goes there too, and not into this folder.
	@printf '[egg_info]\negg_base = %s\n' "$${DIST_EXTRA_CONFIG%/*}" > "$$DIST_EXTRA_CONFIG"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c $(PINS) uv
# uv takes seconds; pip, slower, also knows the settings that a company gave it alone.
	@$(UV) '.[$(WANTED)]' || { \
	  echo "uv did not manage; trying pip" >&2; \
	  $(PY) -m pip install --quiet --disable-pip-version-check -c $(PINS) -e '.[$(WANTED)]'; }
	@$(CHECK) || { echo "Repairing $(VENV)" >&2; $(UV) '.[$(WANTED)]' --reinstall; }
	@$(CHECK) || { echo "$(VENV) is broken: delete it and try again" >&2; exit 1; }
	@$(PY) -W ignore -c 'import matplotlib.pyplot' 2>/dev/null
	@touch $@

# Chromium is Debian's, where this may install it; elsewhere one that is there is used.
$(BROWSER): $(READY)
	@$(UV) '.[book,test,browser]'
	@$(PY) -m notebooks.browser >/dev/null || { test "$$(id -u)" = 0 && \
	  apt-get install --yes --quiet chromium >/dev/null; } || true
	@touch $@
