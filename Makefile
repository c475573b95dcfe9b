# make demo      install netspec alone, check and compile nets, read a handwritten digit, draw a picture
# make venv      install what the tests need too
# make quick     some tests of each folder, in less than a minute
# make test      the tests
# make browser   the tests that open reports in Chromium
# make test-all  the tests that are slow too, all of hypothesis's examples, and test-weights
# make test-weights  weights of torchvision, timm and Keras, which it installs into build/peers
# make gate      tests of compiled kernels with the Triton and the PyTorch of GATE, in build/gate
# make gpu-bundle  a folder with all that make gpu needs on a machine with a GPU and no network
# make gpu       checks and benchmarks on an NVIDIA GPU, in stages; OUT=folder BUDGET=seconds STAGE=names
# make test-gpu  the tests that need a GPU, and those of the kernels, on a GPU
# GPU=yes        after any of these: PyTorch with CUDA on a machine where nvidia-smi is not found
# make lint      style and types

PYTHON ?= python3
BIN := .venv/bin
NETSPEC := .venv/netspec-installed
TESTED := .venv/tests-installed
INSTALL := $(BIN)/python -m pip install --constraint constraints.txt

# As many as there are cores: each collects all tests. Ten at most, for their memory.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(os.cpu_count() or 1, 10))")

# Tests start many processes that import the same files: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

# PyPI's PyTorch for Linux comes with CUDA, which takes gigabytes.  Without an NVIDIA GPU the build
# without CUDA is taken from PyTorch's own index, and PyPI's where that cannot be reached.
GPU ?= $(shell command -v nvidia-smi)
TORCH_WITHOUT_CUDA ?= https://download.pytorch.org/whl/cpu

# Results of make gpu are appended to OUT; it ends within BUDGET seconds.
OUT ?= build/gpu
BUDGET ?= 330

# The Python of the bundle's compiled kernels: Triton finds them only if its own version and that of
# Python are those of the machine with the GPU.
GPU_PYTHON ?= build/gpu-python/bin/python

.PHONY: venv demo quick test browser test-all test-weights gate gpu gpu-bundle test-gpu lint format clean

venv: $(TESTED)

$(NETSPEC): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "netspec needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@echo "netspec, PyTorch, scikit-learn and matplotlib are installed into .venv, 1.4 GB without CUDA: a few minutes"
	@if [ "$$(uname -s)" = Linux ] && [ -z "$(GPU)" ]; then \
		$(INSTALL) --no-deps --index-url $(TORCH_WITHOUT_CUDA) --retries 1 torch || \
		echo "PyPI has PyTorch as well; it may come with CUDA there, which takes gigabytes more"; \
	fi
	$(INSTALL) --editable ".[demo,plot]"
	@touch $(NETSPEC)

$(TESTED): $(NETSPEC)
	@echo "what the tests need is installed into .venv, 1.5 GB more: a few minutes"
	$(INSTALL) --editable ".[dev]"
	@touch $(TESTED)

demo: $(NETSPEC)
	$(BIN)/netspec check googlenet alexnet lenet5
	$(BIN)/netspec compile specs/googlenet.net
	$(BIN)/netspec run lenet5 docs/images/digit.png --weights digits --top 3
	mkdir -p build
	$(BIN)/netspec see predictions lenet5 docs/images/digit.png --weights digits --label 7 -o build/predictions.png
	@echo
	@echo "docs/images/digit.png is a handwritten 7, and LeNet-5 reads it as one: see build/predictions.png."
	@echo "To go on:"
	@echo
	@echo "    . .venv/bin/activate"
	@echo "    netspec summary alexnet"

quick: venv
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal @tests/quick.txt

test: venv
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

browser: venv
	$(BIN)/python -m pytest -n $(WORKERS) -m browser tests/reporting

test-all: venv
	$(BIN)/python -m tests.everything
	$(MAKE) test-weights

test-weights: venv
	$(BIN)/python -m pip install --quiet --no-deps --target build/peers --upgrade \
		--requirement tests/pretrained/peers/requirements.txt
	PYTHONPATH=build/peers $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/pretrained/peers

# Where PyTorch's own index cannot be reached, the gate runs with the PyTorch that is installed:
# PyPI's comes with CUDA.
GATE_TRITON := 3.6.0
GATE_TORCH := 2.11.0
gate: venv
	@$(BIN)/python -m pip install --quiet --no-deps --target build/gate --upgrade \
		triton==$(GATE_TRITON)
	@$(BIN)/python -m pip install --quiet --no-deps --target build/gate --upgrade --retries 1 \
		--index-url $(TORCH_WITHOUT_CUDA) torch==$(GATE_TORCH) || \
		echo "torch $(GATE_TORCH) cannot be reached: the gate uses the PyTorch that is installed"
	PYTHONPATH=build/gate $(BIN)/python -W error -m tests.imported
	PYTHONPATH=build/gate $(BIN)/python -m pytest -n 0 @tests/gate.txt

# Nothing is installed: Python, PyTorch, Triton and NumPy are enough, in a bundle lark too.
gpu:
	@$(PYTHON) -m benchmarks.gpu "$(OUT)" --budget $(BUDGET) $(if $(STAGE),--only $(STAGE))

gpu-bundle: $(GPU_PYTHON)
	$(GPU_PYTHON) -m benchmarks.gpu.bundle build/gpu-bundle

build/gpu-python/bin/python:
	@echo "PyTorch with CUDA and Triton are installed into build/gpu-python, 5 GB: some minutes"
	python3.12 -m venv build/gpu-python
	build/gpu-python/bin/python -m pip install \
		torch==$(GATE_TORCH) triton==$(GATE_TRITON) numpy

test-gpu: venv
	$(BIN)/python -m pytest -n 0 -W default tests/kernels tests/backends/cuda
	$(BIN)/python -m pytest -n 0 -W default -m gpu tests

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/netspec fmt --check specs/*.net netspec/comparing/nets/*.net
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/netspec fmt specs/*.net netspec/comparing/nets/*.net

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
