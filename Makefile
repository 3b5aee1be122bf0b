# make demo and make test need python3 and make; they set up everything else themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test faults lint bench lock clean
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

faults: $(READY)  ## kill, fill and damage real runs, and count what is lost
	$(BIN)/python -m tests.faults

lint: $(READY)    ## style and formatting
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: $(READY)   ## speed, measured beside PyTorch and numpy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks

lock:             ## pin the newest releases that pyproject.toml allows
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	    --python-version 3.11 --extra test --group build pyproject.toml -o requirements.txt

clean:            ## remove the environment and all runs
	rm -rf $(VENV) runs
