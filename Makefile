# One command per deed; the README and .ci/run call the same. Every verb creates .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 2)
export OMP_WAIT_POLICY ?= PASSIVE
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false

.DEFAULT_GOAL := help
.PHONY: help run demo test coverage lint format train bench

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.installed ## prepare the demo study (once) and open the app
	$(BIN)/python manage.py demo
	$(BIN)/python manage.py serve

demo: .venv/.installed ## prepare the demo study only; does nothing where it exists
	$(BIN)/python manage.py demo

test: .venv/.installed-dev ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

coverage: .venv/.installed-dev ## run all tests and say which lines none of them reached; slower
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered $(TESTS)

lint: .venv/.installed-dev ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core db actions training commands manage.py streamlit_app.py

format: .venv/.installed-dev ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: .venv/.installed ## train the model that ships with the repository, from phantoms, anew
	$(BIN)/python -m training fit --shipped

bench: .venv/.installed-dev ## print every performance ratio, measured in one run
	for script in benchmarks/*.py; do name=$$(basename $$script .py); echo "== $$name"; \
	  $(BIN)/python -m benchmarks.$$name || exit 1; done

# pip goes through a stamp file, so that a broken installation is tried again instead of taken for done.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Reading Room needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt | .venv/bin/python
	@echo "Installing; PyTorch takes about 5 GB and a few minutes ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
