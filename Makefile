# Two goals: `make` trains and draws, `make test` checks. Everything else is `python -m spacy project run`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := train
.PHONY: train test clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Installed again when a pin or the package's own list of dependencies changes.
$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	touch $@

$(VENV)/.installed-test: requirements-test.txt $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements-test.txt
	touch $@

train: $(VENV)/.installed
	$(BIN)/python -m spacy project run train

test: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) build dist training metrics plots project.lock corpus/*.spacy
