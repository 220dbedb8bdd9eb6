# make          builds the virtual environment in .venv
# make demo     teacher -> student on made-up data, in minutes
# make test     the test suite
# make lint     ruff: rules and layout
# make clean    removes everything these made
#
# make PYTHON=/path/to/python ...   builds the environment with this Python, not with the one tools/find_python finds
# make VENV=.venv-313 ...           uses another environment, for the second stack
#
# An environment keeps the Python it was built with; to change it, `make clean` or name another VENV.

VENV ?= .venv
PYTHON ?=
INSTALLED := $(VENV)/installed.stamp

export TF_CPP_MIN_LOG_LEVEL ?= 2
# These would send packages elsewhere than into the environment.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PYTHONHOME

.PHONY: $(VENV) demo test lint clean
.DEFAULT_GOAL := $(VENV)

$(VENV): $(INSTALLED)

$(INSTALLED): setup.py pyproject.toml
	@if ! [ -e $(VENV)/pyvenv.cfg ]; then \
	    python=$$(tools/find_python "$(or $(PYTHON),default)") || exit 1; \
	    echo "Making $(VENV) with $$python"; \
	    "$$python" -m venv $(VENV) || exit 1; \
	fi
	@$(VENV)/bin/python -m pip --version > /dev/null || { \
	    echo "$(VENV) does not work any more. Remove it and run make again: rm -r $(VENV)" >&2; exit 1; }
	@echo "Installing yt8m_distill and what it needs into $(VENV): TensorFlow is large, allow a few minutes"
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
	@echo "$(VENV) is ready: $$($(VENV)/bin/python --version)"

demo: $(INSTALLED)
	@$(VENV)/bin/python -m yt8m_distill.cli.demo

test: $(INSTALLED)
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	@$(VENV)/bin/python -m ruff check . && $(VENV)/bin/python -m ruff format --check --quiet .

clean:
	rm -rf .venv .venv-* build dist demo_output *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +
