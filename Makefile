# make venv      the environment, with .venv/bin/netspec
# make demo      compile GoogLeNet, run it on a photograph, and read a handwritten digit
# make quick     some tests of each folder, in less than a minute
# make test      the tests
# make test-all  the tests that are slow too, and all of hypothesis's examples
# make gpu       tests and benchmarks on an NVIDIA GPU, in stages; STAGE=nets runs those of a name
# make test-gpu  the tests alone
# make lint      style and types

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
PHOTO = $(shell $(BIN)/python -c "import sklearn.datasets as d; print(d.__path__[0])")/images/china.jpg

.PHONY: venv demo quick test test-all gpu test-gpu lint format clean

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "netspec needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	@touch $(STAMP)

demo: venv
	$(BIN)/netspec compile specs/googlenet.net
	$(BIN)/netspec run specs/googlenet.net $(PHOTO)
	$(BIN)/netspec run lenet5 docs/images/digit.png --weights digits

quick: venv
	$(BIN)/python -m pytest -n 2 @tests/quick.txt

test: venv
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: venv
	$(BIN)/python -m tests.everything

gpu: venv
	@$(BIN)/python -m benchmarks.gpu $(STAGE) $(if $(AGAIN),--again)

test-gpu:
	@$(MAKE) --no-print-directory gpu STAGE=test

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
