# make demo: set up .venv and run the default study. make test: set up what is missing, run the tests.

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# pytest-xdist: two workers keep the tests within 4 GiB.
WORKERS ?= 2

.PHONY: env demo demo-all test lint reference lock clean

env: $(READY)

$(READY): envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes envs/requirements.txt
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES)
	@echo
	@echo "Done. Open results/demo/smoke/report.html in a browser;"
	@echo "tables are in results/demo/smoke/tables, figures in results/demo/smoke/figures."

# The smoke preset of every study that needs no data of its own.
demo-all: demo
	@set -e; for study in $$(grep -L '^data_required: true' studies/*.yaml); do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) --configfile $$study --config preset=smoke; \
	done

test: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

# The reference of every key of a study file, from the code.
reference: $(READY)
	$(BIN)/python workflow/write_reference.py

lock:
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url -o envs/requirements.txt envs/requirements.in

clean:
	rm -rf results .snakemake
