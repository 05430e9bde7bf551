# `make run` starts everything; `make test` tests it. CONTRACT of every target: README.md.
.PHONY: run test check audit load bench chaos setup setup-dev clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
PYTHON = .venv/bin/python

run: setup
	@exec $(PYTHON) -m orderengine --die-with-parent

test: setup-dev
	@exec $(PYTHON) -m pytest $(ARGS)

check: setup-dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	@$(PYTHON) scripts/deploy_check.py
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@if [ -x .venv/bin/hadolint ]; then .venv/bin/hadolint Dockerfile && echo "hadolint: ok"; else echo "hadolint: no wheel for this machine, skipped"; fi
	$(PYTHON) -m bandit -q -ll -r accounts console orderengine orders routing runtime trade triggers

# Asks a vulnerability service about the pinned packages; needs the internet.
audit: setup-dev
	.venv/bin/pip-audit -r requirements.txt -r requirements-otel.txt --no-deps --disable-pip

load: setup-dev
	@exec $(PYTHON) -m benchmarks.load $(ARGS)

bench: setup-dev
	@exec $(PYTHON) -m benchmarks $(ARGS)

chaos: setup-dev
	@exec $(PYTHON) -m tests.chaos $(ARGS)

setup setup-dev:
	@command -v python3 >/dev/null || { echo "setup: python3 is missing: install Python 3.12 or 3.11" >&2; exit 1; }
	@exec python3 scripts/setup.py $(if $(filter setup-dev,$@),dev)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis static-root
	find . -name __pycache__ -not -path './node_modules/*' -prune -exec rm -rf {} +
