# make demo and make test need python3 and make; they set up everything else themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test hosts trackers docs notebook faults lint bench programs lock home clean
help:             ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)    ## the paper's experiments in small, on characters drawn by the program
	$(BIN)/python -m experiments.paper --preset demo --out runs/demo

test: $(READY)    ## the test suite
	$(BIN)/python -m pytest -q

hosts: $(READY)   ## the tests of several hosts: processes over loopback, killed and resumed
	$(BIN)/python -m pytest -q -m hosts

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

lock:             ## pin the newest releases that pyproject.toml allows
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	    --python-version 3.11 --extra test --extra docs --group build pyproject.toml -o requirements.txt

home:             ## move the project to REPO=owner/name on GitHub: every mention of its address
	git grep -lF emnist-jax/emnist_jax | xargs perl -pi -e 's{emnist-jax/emnist_jax}{$(REPO)}g'

clean:            ## remove the environment, all runs and the site
	rm -rf $(VENV) .venv-programs runs site
