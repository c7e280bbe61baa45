# `make demo` and `make test` set everything up in .venv first; `make clean` forgets it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# On Linux the package index's torch is the CUDA build, several gigabytes. Without an NVIDIA GPU, make takes the CPU build from
# PyTorch's own index; with TORCH_INDEX= (empty), or if that index is out of reach, whatever pip finds.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-lowest coverage lint docs setup web home-assistant clean

demo: $(VENV)/installed-demo
	$(BIN)/wordspot demo --out demo --force

test: $(VENV)/installed-dev lint
	$(BIN)/python -m pytest -q -n 3 --dist worksteal

coverage: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n 2 --cov

# The runtime, the data and the server on the lowest versions that pyproject.toml declares (no torch; the page has its own test).
test-lowest: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) tools/lowest_versions.py serve zeroconf voices export:onnx dev:pytest dev:hypothesis dev:scipy dev:scikit-learn > .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-lowest/requirements.txt -e .
	.venv-lowest/bin/python -m pytest -q -p no:cacheprovider tests --ignore tests/server/test_web.py

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests benchmarks dev examples tools packaging setup.py
	$(BIN)/mypy
	$(BIN)/codespell

# The documentation as a site in build/site; a broken link or reference is an error. Nothing is fetched.
docs: $(VENV)/installed-dev
	$(BIN)/python benchmarks/render.py --check
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(BIN)/mkdocs build --strict --quiet

setup: $(VENV)/installed-dev

# What the page of `wordspot serve` runs models with: the engine in WebAssembly, which clang and lld build, and for models that it
# does not know ONNX Runtime, from npm by checksum. Only a build needs them. Without clang, ONNX Runtime runs all models.
web: $(VENV)/bin/python
	-$(BIN)/python tools/build_wasm.py
	PYTHONPATH=src $(BIN)/python tools/vendor_web.py

# A folder to build a container or Home Assistant's add-on from, on any platform; see docs/home-assistant.md.
home-assistant: web $(VENV)/installed-dev
	rm -rf build dist/home-assistant
	mkdir -p dist
	cp -r packaging/home-assistant dist/home-assistant
	cp constraints.txt dist/home-assistant
	WORDSPOT_NO_ENGINE=1 $(BIN)/python -m build --wheel --no-isolation --outdir dist/home-assistant

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("wordspot needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-torch: $(VENV)/bin/python constraints.txt
	@if [ "$$(uname -s)" = Linux ] && [ -n "$(TORCH_INDEX)" ] && ! command -v nvidia-smi > /dev/null; then \
	  $(INSTALL) --no-deps --retries 0 --timeout 15 --index-url $(TORCH_INDEX) torch \
	    || echo "torch for the CPU: $(TORCH_INDEX) is out of reach; taking what pip finds"; \
	fi
	touch $@

$(VENV)/installed-demo: $(VENV)/installed-torch pyproject.toml constraints.txt
	$(INSTALL) -e '.[export,voices,serve]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-torch pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev]'
	touch $@ $(VENV)/installed-demo

clean:
	rm -rf $(VENV) .venv-lowest build dist demo src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
