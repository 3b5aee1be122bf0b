# make demo and make test need python3 and make; they set up everything else themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal
UV     := $(BIN)/uv
NEWEST := $(lastword $(BIN)/python $(wildcard $(HOME)/.pyenv/versions/3.1[2-4].*/bin/python))
CORE   := $(patsubst %,tests/test_%.py,train rules layers models grid join identify data_glyphs)

.PHONY: help demo test test-all versions hosts trackers docs notebook faults lint bench programs lock home clean
help:             ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) and "Python 3.11 to 3.14 is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)    ## the paper's experiments in small, on characters drawn by the program
	$(BIN)/python -m experiments.paper --preset demo --out runs/demo

test: $(READY)    ## the tests of every module, in minutes; compiled fast, not to be fast
	XLA_FLAGS='--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false' $(PYTEST)

test-all: test    ## the slow tests too: simulations, pages, memory, kills, many random examples
	$(PYTEST) -m 'slow or examples' --hypothesis-profile many

$(UV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

# Wheels alone: an old release without one for this Python is no choice. promise, of tensorflow-datasets, has none.
# The newest releases need a newer Python than the oldest allowed: pyenv's newest, where there is one.
versions: $(UV)   ## the core tests with the lowest and with the newest versions that are allowed
	for which in lowest-direct highest; do \
	    python=$(BIN)/python; [ $$which = highest ] && python=$(NEWEST); \
	    env=$(VENV)/$$which; $(UV) venv --quiet --clear --python $$python $$env && \
	    $(UV) pip install --quiet --python $$env --resolution $$which \
	        --only-binary :all: --no-binary promise -e '.[test]' && \
	    $$env/bin/python -m pytest -q -n auto $(CORE) || exit 1; done

hosts: $(READY)   ## the tests of several hosts: processes over loopback, killed and resumed
	$(PYTEST) -m hosts

trackers: $(READY) ## the tests of exports and trackers, with their packages installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[trackers]'
	$(BIN)/python -m pytest -q tests/test_export.py

docs: $(READY)    ## the documentation as a site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebook: $(READY) ## the notebook run from top to bottom, its outputs written into it
	$(BIN)/jupyter execute --inplace --NotebookClient.record_timing=False notebooks/emnist_jax.ipynb

faults: $(READY)  ## kill, fill and damage real runs, and count what is lost
	$(BIN)/python -m tests.faults

lint: $(READY)    ## style and formatting
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: $(READY)   ## speed, measured beside PyTorch and numpy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks

programs:         ## the programs that a GPU and TPU cores would run, compiled here; neither is needed
	$(PYTHON) -m venv .venv-programs
	.venv-programs/bin/python -m pip install --quiet --disable-pip-version-check -e '.[programs]'
	.venv-programs/bin/python -m benchmarks.programs

lock: $(UV)       ## pin the newest releases that pyproject.toml allows
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	    --python-version 3.11 --extra test --extra docs --extra parquet --group build pyproject.toml -o requirements.txt

home:             ## move the project to REPO=owner/name on GitHub: every mention of its address
	git grep -lF emnist-jax/emnist_jax | xargs perl -pi -e 's{emnist-jax/emnist_jax}{$(REPO)}g'

clean:            ## remove the environments, all runs, the site and compiled programs of tests
	rm -rf $(VENV) .venv-programs .pytest_cache runs site
