# Everything runs inside .venv, which is made on first use. requirements.lock names every package: `make demo` takes
# from it what the main job needs, every other target all of it.
PYTHON ?= python3
BIN := .venv/bin
CORE := .venv/.core
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
	--durations 25

# A .venv of another Python than the one that was named is not used without a word.
ifneq ($(origin PYTHON),file)
ifeq ($(filter clean,$(MAKECMDGOALS)),)
ifneq ($(wildcard $(BIN)/python),)
ifneq ($(shell $(BIN)/python --version 2>&1),$(shell $(PYTHON) --version 2>&1))
$(error .venv has $(shell $(BIN)/python --version 2>&1), not the $(PYTHON) that you named; make clean removes it)
endif
endif
endif
endif

.PHONY: demo install test test-slow test-all bench fuzz check lint types format docs docs-check pictures lock clean

demo: $(CORE)  ## the main job on made-up cases, at most three minutes on two cores
	$(BIN)/eosin demo -o demo --force

install: $(STAMP)  ## make .venv and install what requirements.lock names

test: $(STAMP)  ## the tests but the slow ones; needs no data
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)  ## the slow tests; those of real data run where the data are present
	$(PYTEST) -m slow

test-all: $(STAMP)  ## both in one run, which is shorter than one after the other
	$(PYTEST)

bench: $(STAMP)  ## the CPU benchmarks against their references, at most 20 minutes on two idle cores
	$(BIN)/python benchmarks/all.py

fuzz: $(STAMP)  ## 10,000 hostile inputs against every command that reads them
	$(BIN)/python benchmarks/fuzz.py

check: lint types docs-check test-all  ## format, lint, types, tests and docs: what has to pass before a commit

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

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "eosin needs Python 3.11 or later; $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1 | tail -n 1). Name another: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { \
		rm -rf .venv; \
		echo "a virtual environment could not be made; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }

# uv and pip read the same arguments.
define installing
{ test -x $(BIN)/uv && $(UV) $(1); } || { \
	echo "uv could not install the packages; pip does it now, which takes longer" >&2; \
	$(PIP) $(1); }
endef

# The lock as constraints: what a project file names, at the lock's version. hatchling and editables make the
# editable install.
$(CORE): requirements.lock pyproject.toml | $(BIN)/python
	@$(PIP) --constraint requirements.lock hatchling editables
	@$(PIP) --constraint requirements.lock uv || true
	@$(call installing,--constraint requirements.lock --no-build-isolation --editable ".[train]")
	@touch $(CORE)

$(STAMP): $(CORE)
	@$(call installing,--requirement requirements.lock)
	@touch $(STAMP)

# torch and torchvision, which fit each other, are held at the newest releases tested; raise them here.
lock: $(STAMP)  ## resolve requirements.lock anew (needs the package registry)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--upgrade --upgrade-package torch==2.14.1 --upgrade-package torchvision==0.29.1 --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements.lock

clean:
	rm -rf .venv demo build dist site
