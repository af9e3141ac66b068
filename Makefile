# make demo: set up .venv and run the default study. make test: set up what is missing, run the tests.

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Stages call `python`: the one of .venv goes first.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
CTU_UHB ?= data/ctu-uhb-ctgdb
# pytest-xdist: two workers keep the tests within 4 GiB.
WORKERS ?= 2

.PHONY: env demo demo-all ctu-uhb test lint reference lock clean

env: $(READY)

$(READY): envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes envs/requirements.txt
	touch $@

demo: $(READY)
	$(RUN) snakemake --cores $(CORES)
	@echo
	@echo "Done. Open results/demo/smoke/report.html in a browser;"
	@echo "tables are in results/demo/smoke/tables, figures in results/demo/smoke/figures."

# The smoke preset of every study; the one on public recordings runs once `make ctu-uhb` has
# downloaded them (or CTU_UHB names their folder).
demo-all: demo
	$(RUN) snakemake --cores $(CORES) --configfile studies/ctg.yaml --config preset=smoke
	$(RUN) snakemake --cores $(CORES) --configfile studies/histology.yaml --config preset=smoke
	$(RUN) snakemake --cores $(CORES) --configfile studies/oct.yaml --config preset=smoke
	$(RUN) snakemake --cores $(CORES) --configfile studies/oct_dida.yaml --config preset=smoke
	$(RUN) snakemake --cores $(CORES) --configfile studies/liver.yaml --config preset=smoke
	@if [ -d "$(CTU_UHB)" ]; then \
	  $(RUN) snakemake --cores $(CORES) --configfile studies/ctu_uhb.yaml \
	    --config preset=smoke data="$(CTU_UHB)"; \
	else echo "studies/ctu_uhb.yaml: no recordings in $(CTU_UHB); make ctu-uhb downloads them."; fi

# The CTU-UHB recordings from their home, checked against the published list.
ctu-uhb: $(READY)
	$(BIN)/python workflow/download.py --out $(CTU_UHB)

test: $(READY)
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	$(RUN) snakemake --lint

# The reference of every key of a study file, from the code.
reference: $(READY)
	$(BIN)/python workflow/write_reference.py

lock:
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url -o envs/requirements.txt envs/requirements.in

clean:
	rm -rf results .snakemake
