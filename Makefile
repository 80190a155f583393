# Two commands matter: `make book` and `make test`. Each sets up what it needs, in .venv and nowhere else.
#   make book PYTHON=python3.12      another Python (3.11 or newer)
#   LMTUTOR_DATA=~/corpora make book  the folder that holds the corpora; without it the book uses its own small one

# The first that is new enough; `make PYTHON=…` names another.
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LABCONF := $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json
BOOK   := _build/html/index.html
SHELL  := /bin/bash
EXTRAS := book,dev
INSTALL = $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'

export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

# torch's threads spin while they wait, which ruins a machine that others use too. Asleep they are slower on a quiet
# machine and faster on a busy one. Set OMP_WAIT_POLICY to choose otherwise.
export OMP_WAIT_POLICY ?= passive

# $(call patiently,WHAT,COMMAND): run a command, and say every five seconds that it still runs.
define patiently
@$(2) & job=$$!; trap 'kill $$job 2>/dev/null' INT TERM; begun=$$SECONDS; said=0; while kill -0 $$job 2>/dev/null; do \
  sleep 0.5; now=$$((SECONDS - begun)); [ $$((now - said)) -lt 5 ] || { \
  said=$$now; echo "  $(1): $$now s, $$(du -sm $(VENV) 2>/dev/null | cut -f1) MB in $(VENV)"; }; \
done; wait $$job
endef

# Every test runs on one core, as many at once as there are cores, four at most; a file's tests stay together.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q
AT_ONCE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What the pages are made of. A change in any of these files rebuilds the book.
SOURCES := $(shell find book lmtutor data _config.yml _toc.yml CITATION.cff -type f \
             -not -path '*/__pycache__/*' -not -path '*/.ipynb_checkpoints/*' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help assignments setup book record test test-quick test-fast notebooks pdf lint lab lock lowest bench clean FORCE
.DELETE_ON_ERROR:

help:  ## this list
	@echo "Recurrent Language Models, by Hand and at Scale"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done
	@echo
	@echo "  PYTHON=python3.12 chooses the Python (3.11 or newer); LMTUTOR_DATA=DIR names a folder with corpora."

setup: $(STAMP)  ## create the virtual environment only (.venv, about 1.5 GB)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "lmtutor needs Python 3.11 or newer, but $(PYTHON) is: $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Name a newer one: make $(or $(MAKECMDGOALS),book) PYTHON=python3.11" >&2; exit 2; }
	@echo "Creating the virtual environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "The module venv is missing or broken. On Debian: apt install python3-venv" >&2; exit 2; }

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV) (one to three minutes the first time; torch alone is 200 MB or more)"
	$(call patiently,installing,$(INSTALL))
	@mkdir -p $(VENV)/etc/ipython  # a kernel's note about its transport is not news to a reader
	@echo '{"IPKernelApp": {"log_level": "ERROR"}}' > $(VENV)/etc/ipython/ipython_kernel_config.json
	@touch $@

book: $(BOOK)  ## execute the chapters and build the pages
	@echo "The book: $(BOOK)"

# Which corpora the chapters ran on, and where the pages are published: another folder, or none, is another book.
CORPORA := data=$(LMTUTOR_DATA) offline=$(LMTUTOR_OFFLINE) repository=$(LMTUTOR_REPOSITORY)
_build/.corpora: FORCE
	@mkdir -p _build; echo '$(CORPORA)' | cmp -s - $@ || echo '$(CORPORA)' > $@
FORCE:

$(BOOK): $(SOURCES) $(STAMP) _build/.corpora
	@echo "Building the book: the chapters run once, then their outputs are kept until code or data change"
	@$(BIN)/jupyter-book build --all -q -W -n --keep-going .
	@$(BIN)/python -m tests.helpers _build/html/notebooks  # the wheel that the notebooks install
	@touch $@

record: $(STAMP)  ## record the outputs of the chapters that need a corpus from outside (LMTUTOR_DATA; ten minutes)
	@$(BIN)/python book/_ext/record.py

test: $(STAMP) $(BOOK)  ## every test: the package and the pages (builds the book if it changed)
	@$(PYTEST) $(AT_ONCE)

test-fast: $(STAMP)  ## the tests that need no built book
	@$(PYTEST) $(AT_ONCE) -m "not book"

test-quick: $(STAMP)  ## within a minute: one test of values for every model, head, tokenizer and command
	@$(PYTEST) -m quick

notebooks: $(BOOK)  ## every page as a notebook that installs the package, each tested with only the wheel installed
	@LMTUTOR_NOTEBOOKS=all $(BIN)/python -m pytest -q tests/book/test_notebooks.py
	@echo "The notebooks and the wheel that they install: _build/html/notebooks"

pdf: $(BOOK)  ## the book as one PDF, rendered with your installed Chromium: _build/book.pdf
	@$(BIN)/python book/_ext/print_pdf.py

lint: $(STAMP)  ## ruff (rules and format), the order of the rooms, the types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@PYTHONPATH=. $(BIN)/lint-imports > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/mypy

lab: $(STAMP)  ## open the chapters as notebooks in JupyterLab
	@$(BIN)/jupytext-config --settings-file $(LABCONF) set-default-viewer markdown
	@$(BIN)/jupyter lab --notebook-dir=book

$(VENV)/.classroom: EXTRAS := book,dev,classroom
$(VENV)/.classroom: $(STAMP)  # with nbgrader; a first set-up installs all at once
	$(call patiently,installing nbgrader,$(INSTALL))
	@touch $@

assignments: $(VENV)/.classroom  ## student releases, solutions and nbgrader's course tree: _build/assignments
	@$(BIN)/lmtutor assignments build

bench: $(STAMP)  ## the benchmarks: speed of each part (minutes; some need LMTUTOR_DATA)
	@set -e; for script in tests/benchmarks/bench_*.py; do \
	  echo "== $$script"; $(BIN)/python -m tests.benchmarks.$$(basename $$script .py); done
	@echo "== training, scoring, generating"; $(BIN)/python -m tests.benchmarks --quick

lock:  ## requirements.lock: the pins with the hashes of their files (needs uv)
	@{ sed -n '/^#/p' requirements.lock; uv pip compile pyproject.toml --all-extras --constraint constraints.txt \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-package torch --quiet | \
	  awk '/^[^ ]/ { kept = !/^(nvidia|cuda|triton|torch)/ } kept'; } > requirements.new
	@mv requirements.new requirements.lock

lowest:  ## the book and the tests without pages, with the lowest versions allowed but for torch (needs uv; in .venv-lowest)
	@mkdir -p _build; grep '^torch==' constraints.txt > _build/torch.txt  # installs without its GPU libraries
	@set -o pipefail; uv pip compile pyproject.toml --extra bpe --extra book --extra dev --resolution lowest-direct --python-version 3.11 \
	  --constraint _build/torch.txt --no-annotate --no-header --quiet | grep -vE '^(nvidia|cuda|triton)' > _build/lowest.txt
	@$(PYTHON) -m venv --clear .venv-lowest; .venv-lowest/bin/pip install --quiet -r _build/lowest.txt
	@.venv-lowest/bin/pip install --quiet --no-deps --editable .
	@PATH="$(CURDIR)/.venv-lowest/bin:$$PATH" .venv-lowest/bin/jupyter-book build --all -q -n --keep-going \
	  --path-output _build/lowest .
	@.venv-lowest/bin/python -m pytest -q -m "not book" \
	  --deselect tests/test_environment.py::test_pins_reach_every_indirect_requirement  # asks for the pins

clean:  ## remove what was built, not the virtual environment
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find book lmtutor tests -name __pycache__ -type d -prune -exec rm -rf {} +
