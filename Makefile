# Everything runs inside .venv, which is made on first use from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check

.PHONY: demo install test bench fuzz check lint types format docs docs-check pictures lock clean

demo: $(STAMP)  ## the main job on made-up cases, about three minutes on two cores
	$(BIN)/eosin demo -o demo --force

install: $(STAMP)  ## make .venv and install what requirements.lock names

test: $(STAMP)  ## the whole test suite; the real-data tests run where the data are present
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
		--durations 25

bench: $(STAMP)  ## the CPU benchmarks against their references, at most 20 minutes on two idle cores
	$(BIN)/python benchmarks/all.py

fuzz: $(STAMP)  ## 10,000 hostile inputs against every command that reads them, about half an hour
	$(BIN)/python benchmarks/fuzz.py

check: lint types docs-check test  ## format, lint, types, tests and docs: what has to pass before a commit

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs-check: $(STAMP)
	$(BIN)/python docs/reference_pages.py --check

docs: $(STAMP)  ## rewrite the generated pages (commands, recipes, files), then build the site into site/
	$(BIN)/python docs/reference_pages.py
	$(BIN)/python docs/schemas.py
	$(BIN)/python docs/build.py

pictures: $(STAMP)  ## make the pictures of README and site again, from made-up cases
	$(BIN)/python docs/pictures.py

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "eosin needs Python 3.11 or later; $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1 | tail -n 1). Name another: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		rm -rf .venv; \
		echo "a virtual environment could not be made; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@{ $(PIP) "$$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' requirements.lock)" && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock; } || { \
		echo "uv could not install the packages; pip does it now, which takes longer" >&2; \
		$(PIP) -r requirements.lock; }
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# torch and torchvision, which fit each other, are held at the newest releases tested; raise them here.
lock: $(STAMP)  ## resolve requirements.lock anew (needs the package registry)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--upgrade --upgrade-package torch==2.14.1 --upgrade-package torchvision==0.29.1 --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements.lock

clean:
	rm -rf .venv demo build dist site
