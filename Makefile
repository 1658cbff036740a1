# Each target makes what it needs, the environment in .venv included. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help book serve test quick lint notebooks scoreboard contest ablations clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8000
JOBS ?= 2
SEED ?= 1685

# The networks are small: a second thread for each matrix product only makes the processes wait for each other.
export OMP_NUM_THREADS := 1
# Nothing of the user's own Python settings or kernels may leak in.
export PYTHONNOUSERSITE := 1
# The seed of the front page's piece.
export GANMUSIC_BOOK_SEED := $(SEED)

PYTHON_FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c '$(PYTHON_FITS)' >/dev/null 2>&1; then echo $$p; break; fi; done)

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "ganmusic needs Python 3.11, 3.12 or 3.13, and found none." \
		"Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '$(PYTHON_FITS)' || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not make an environment (on Debian and Ubuntu: install python3-venv)."; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,dev]'
	@touch $@

book: $(READY)  ## compose the front page's piece and build the book into _build/html
	$(BIN)/jupyter-book build . -W --keep-going -n --quiet
	@echo "The book is in _build/html/index.html. Read and hear it in a browser with: make serve"

serve: book  ## build the book, then serve it on this machine
	@echo "Serving the book on http://localhost:$(PORT) (stop with Ctrl-C; another port: make serve PORT=8080)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

test: lint  ## everything: lint, types, tests, notebooks, wheel, book (about a quarter of an hour)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --nbval --nbval-current-env \
		--nbval-cell-timeout 300 tests notebooks

quick: lint  ## lint, types and the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow' tests

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: $(READY)  ## run every notebook again, in place
	$(BIN)/python scripts/execute_notebooks.py notebooks/*.ipynb

scoreboard: $(READY)  ## train and judge again what the book's scoreboard lists (most of an hour)
	$(BIN)/python benchmarks/scoreboard.py --jobs $(JOBS)

contest: $(READY)  ## train every model for equal times and judge them, or go on with it (many hours)
	$(BIN)/python benchmarks/contest.py --jobs $(JOBS)

ablations: $(READY)  ## leave out one part of the choir at a time, or go on with it (two and a half hours of one core)
	$(BIN)/python benchmarks/ablations.py --jobs $(JOBS)

clean:  ## remove what the targets made, the environment included
	rm -rf $(VENV) _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
