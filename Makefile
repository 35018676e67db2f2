# Everything runs inside .venv, which is made on first use from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check lint types format docs lock clean

demo: $(STAMP)  ## the main job on made-up cases, about three minutes on two cores
	$(BIN)/eosin demo -o demo --force

test: $(STAMP)  ## the whole test suite; the real-data tests run where the data are present
	$(BIN)/python -m pytest

check: $(STAMP) lint types test  ## format, lint, types, tests and docs: what has to pass before a commit

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)  ## rewrite the generated pages (the command reference)
	$(BIN)/python -m eosin.cli.reference docs/reference/cli.md

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# torch is held at the newest release that was tested; raise it here.
lock: $(STAMP)  ## resolve requirements.lock anew (needs the package registry)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--upgrade --upgrade-package torch==2.14.1 --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements.lock

clean:
	rm -rf .venv demo build dist
