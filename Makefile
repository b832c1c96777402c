# `make` prints the targets.  Each one that needs the environment makes it first, in .venv.
#
#   PYTHON=...       the Python to build on; where it has torch (a ROCm container), that torch is used
#   TORCH_INDEX=...  where torch comes from otherwise
#   TRITON=...       what to install where there is no triton; a ROCm torch brings its own
#   ARGS=...         more arguments for test, validate, selftest and typecheck
#   WORKERS=...      test processes; auto is one a core
#
# `make wheelhouse` takes, of the machine that the wheels are for:
#   PYTHON=3.12      its Python, as a version
#   GLIBC=2.28       the oldest glibc that they must run with
#   EXTRAS=...       extras of rocmoe whose wheels are wanted too
#   LEAVE=...        what that machine has, and no wheel is wanted of

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_VERSION ?= 2.13.0
TRITON ?= triton>=3.6,<3.10
ARGS ?=
WORKERS ?= auto
GLIBC ?= 2.28
EXTRAS ?= sim,plot,dev
LEAVE ?= torch,triton
WHEELHOUSE ?= wheelhouse

# There PYTHON is a version, of another machine's Python, and no program here.
ifneq ($(filter wheelhouse,$(MAKECMDGOALS)),)
WHEELS_FOR := $(if $(filter 3.%,$(PYTHON)),$(PYTHON))
override PYTHON := $(if $(WHEELS_FOR),python3,$(PYTHON))
endif

VENV := .venv
BIN := $(VENV)/bin
# Tools run as modules: pip writes no script for a tool that the platform's Python already has.
RUN := $(BIN)/python -m
READY := $(VENV)/.ready
PINS := $(VENV)/constraints.txt
PIP := $(RUN) pip install -q --disable-pip-version-check
# Builds are not isolated: pip's isolation lets an older one of the platform's through.
SETUPTOOLS := 'setuptools>=77.0.3'
TYPING := build/typing/rocmoe

export CREATE_VENV PRINT_PINS

# A virtual environment on top of another one does not see its packages (the interpreter of both
# is the base one), so where the platform's Python is itself one, a .pth file adds its folders.
define CREATE_VENV
import pathlib, site, sys, venv
if sys.version_info < (3, 10):
    sys.exit(f"setup: Python 3.10 or newer is needed, {sys.executable} is {sys.version.split()[0]}")
folder = pathlib.Path(sys.argv[1])
if pathlib.Path(sys.prefix).resolve() == folder.resolve():
    sys.exit(f"setup: {sys.executable} is inside {folder}, which is incomplete: run `deactivate` first")
try:
    import torch
    found = f"the torch {torch.__version__} of {sys.executable}"
except Exception:
    torch, found = None, f"Python {sys.version.split()[0]}"
print(f"setup: {folder} on {found}", flush=True)
nested = sys.prefix != sys.base_prefix
try:
    venv.create(folder, with_pip=True, symlinks=True, system_site_packages=bool(torch) and not nested)
except Exception as error:
    sys.exit(f"setup: no virtual environment ({error}); on Debian: apt-get install python3-venv")
if torch and nested:
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (packages / "platform.pth").write_text("".join(lines))
endef

# Triton too: ROCm builds of torch bring their own, which must not be laid over.
define PRINT_PINS
import importlib.util, sys
from importlib.metadata import PackageNotFoundError, version
for name in ("torch", "triton", "triton-rocm", "pytorch-triton-rocm"):
    try:
        print(f"{name}=={version(name)}")
    except PackageNotFoundError:
        if name == "torch" and importlib.util.find_spec("torch"):
            sys.exit("setup: torch is importable but has no package metadata, so that pip would replace it")
endef

.PHONY: help setup test validate selftest sanitize budget bench-sim rocm-ci lint format typecheck check wheel wheelhouse sdist install clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make the environment in .venv; a torch that Python has is used, never replaced

# pip is heard only when it fails.  torch comes alone from its index, what it needs from the usual one.
$(READY): pyproject.toml Makefile
	@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -c "$$CREATE_VENV" $(VENV)
	@$(BIN)/python -c 'import importlib.util as i, sys; sys.exit(not i.find_spec("torch"))' || { \
	    echo "setup: torch $(TORCH_VERSION) from $(TORCH_INDEX)"; \
	    said=$$($(PIP) --no-deps --retries 1 --timeout 15 --index-url $(TORCH_INDEX) torch==$(TORCH_VERSION) 2>&1) || { \
	        echo "$$said"; \
	        echo "setup: no torch $(TORCH_VERSION) at $(TORCH_INDEX): name another TORCH_INDEX or TORCH_VERSION"; exit 1; } >&2; }
	@$(BIN)/python -c "$$PRINT_PINS" >$(PINS)
	@echo "setup: rocmoe and its tools beside $$(head -1 $(PINS))"
	@said=$$({ $(PIP) $(SETUPTOOLS) && $(PIP) -c $(PINS) --no-build-isolation -e '.[dev]'; } 2>&1) || { \
	    echo "$$said"; \
	    echo "setup: pip cannot install rocmoe and keep $$(head -1 $(PINS)), which is never replaced: it says why above"; exit 1; } >&2
	@$(BIN)/python -c 'import importlib.util as i, sys; sys.exit(not i.find_spec("triton"))' || { \
	    echo "setup: $(TRITON), which compiles for AMD with no GPU"; \
	    said=$$($(PIP) -c $(PINS) '$(TRITON)' 2>&1) || { echo "$$said"; \
	        echo "setup: no $(TRITON): name another TRITON"; exit 1; } >&2; }
	@touch $@

# Without GitHub's variables: what tests run would write annotations and its step summary.  With the
# bytecode kept, even in an image that asks for none: the tests start the program a hundred times.
test: $(READY) ## run the tests
	@env -u GITHUB_ACTIONS -u GITHUB_STEP_SUMMARY -u PYTHONDONTWRITEBYTECODE $(RUN) pytest -n $(WORKERS) --dist worksteal $(ARGS)

validate: $(READY) ## validate every op on this machine
	@$(BIN)/rocmoe validate $(ARGS)

selftest: $(READY) ## run deliberately wrong kernels: each must be caught
	@$(BIN)/rocmoe selftest $(ARGS)

sanitize: $(READY) ## run the Triton kernels as AMD code with every sanitizer watching
	@$(BIN)/rocmoe sanitize topk_softmax $(ARGS)

# Every case that the budget names: in code for three targets, and what runs counts for one.
budget: $(READY) ## hold the Triton kernels' AMD code against .ci/budget.toml
	@for case in $$(sed -n '/^\[\[isa/,/kernel/s/^case = "\(.*\)"/\1/p' .ci/budget.toml | sort -u); do \
	    $(BIN)/rocmoe isa $${case%%:*} --case $$case --arch gfx90a,gfx942,gfx950 --budget .ci/budget.toml $(ARGS); done
	@$(BIN)/rocmoe validate $$(sed -n '/^\[\[counts/,/arch/s/^case = "\(.*\)"/--case \1/p' .ci/budget.toml) \
	    --backend triton --device sim:gfx942 --budget .ci/budget.toml

bench-sim: $(READY) ## time the simulator, on one core, with and without its sanitizers
	@$(BIN)/python tests/benchmarks/bench_sim.py $(ARGS)

rocm-ci: ## run what CI runs on an AMD GPU; .ci/rocm says what can be chosen
	@.ci/rocm

lint: $(READY) ## check style and formatting
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

format: $(READY) ## rewrite the sources in the project's format
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

# mypy cannot follow the renamed folders, so it reads the package through a tree of links.
typecheck: $(READY) ## check the types
	@mkdir -p $(TYPING)
	@ln -sfn $(addprefix $(CURDIR)/,cli ops profiles references) $(TYPING)/
	@ln -sf $(CURDIR)/cli/rocmoe/*.py $(CURDIR)/cli/rocmoe/py.typed $(TYPING)/
	@$(RUN) mypy $(ARGS) 2>&1 | sed -e 's|$(TYPING)/__|cli/rocmoe/__|' -e 's|$(TYPING)/||'

check: lint typecheck test ## lint, typecheck and test

# setuptools copies into build/lib and never removes: a deleted op would be shipped from there.
wheel: $(READY) ## build a wheel into dist/
	@rm -rf build/lib dist/rocmoe-*.whl
	@$(RUN) build --no-isolation --wheel

wheelhouse: wheel ## collect wheels for a machine with no network: PYTHON=3.12 is its Python
	@$(BIN)/python .ci/wheelhouse.py $(if $(WHEELS_FOR),--python $(WHEELS_FOR)) --glibc $(GLIBC) \
	    --extras '$(EXTRAS)' --leave '$(LEAVE)' --dest $(WHEELHOUSE) dist/rocmoe-*.whl

sdist: $(READY) ## build a source distribution into dist/
	@rm -rf build/lib
	@$(RUN) build --no-isolation --sdist

install: ## install into Python's own environment, whose torch is not replaced
	@rm -rf build/lib
	@mkdir -p build
	@$(PYTHON) -c "$$PRINT_PINS" >build/constraints.txt
	@$(PYTHON) -m pip install -c build/constraints.txt .

clean: ## remove what was built and the caches; .venv stays
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
