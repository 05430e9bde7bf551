# What each target does: README.md and CONTRIBUTING.md. ARGS goes to the program behind a target.
.PHONY: run test unit contract integration acceptance acceptance-localnet browser check audit lock load bench chaos mutations deploy-test setup setup-dev hooks clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
PYTHON = .venv/bin/python
PACKAGES = accounts books console localnet orderengine orders risk routing runtime trade triggers wallets webhooks

run: setup
	@exec $(PYTHON) -m orderengine --die-with-parent

# Tests wait more than they compute, so three processes share the files; each has its own Postgres and Redis.
test: setup-dev
	@exec $(PYTHON) -m pytest -n 3 --dist loadfile $(ARGS)

# One tier of the tests each. `unit` starts no Postgres and no Redis.
unit contract integration acceptance browser: setup-dev
	@exec $(PYTHON) -m pytest tests/$@ $(ARGS)

# The acceptance tests with real transactions on a local Solana; what needs the mock's own figures stays with the mock.
# VENUES says how venues are reached: direct, http or both.
VENUES = direct
acceptance-localnet: setup-dev
	@TEST_EXECUTION_MODE=localnet VENUE_RAYDIUM=$(VENUES) VENUE_METEORA=$(VENUES) exec $(PYTHON) -m pytest $(or $(FILES),tests/acceptance) $(ARGS)

chaos: setup-dev
	@exec $(PYTHON) -m tests.chaos $(ARGS)

# Switches each guard off in turn; its tests must fail then.
mutations: setup-dev
	@exec $(PYTHON) -m tests.chaos.mutations $(ARGS)

check: setup-dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	@$(PYTHON) scripts/deploy_check.py
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@if [ -x .venv/bin/hadolint ]; then .venv/bin/hadolint Dockerfile && echo "hadolint: ok"; else echo "hadolint: no wheel for this machine, skipped"; fi
	@$(PYTHON) scripts/lint_js.py
	$(PYTHON) -m bandit -q -ll -r $(PACKAGES)

# Asks a vulnerability service about the locked packages; needs the internet.
audit: setup-dev
	.venv/bin/pip-audit -r requirements.lock -r requirements-server.lock --require-hashes --no-deps --disable-pip

# Writes requirements*.lock anew; ARGS=--upgrade takes newer transitive packages. Needs the internet.
lock: setup-dev
	@exec $(PYTHON) scripts/lock.py $(ARGS)

load: setup-dev
	@exec $(PYTHON) -m benchmarks.load $(ARGS)

bench: setup-dev
	@exec $(PYTHON) -m benchmarks $(ARGS)

setup setup-dev:
	@command -v python3 >/dev/null || { echo "setup: python3 is missing: install Python 3.11, 3.12, 3.13 or 3.14" >&2; exit 1; }
	@exec python3 scripts/setup.py $(if $(filter setup-dev,$@),dev)

# The quick part of `make check` before every commit.
hooks: setup-dev
	@.venv/bin/pre-commit install

clean:
	rm -rf .venv node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis static-root
	find . -name __pycache__ -not -path './node_modules/*' -prune -exec rm -rf {} +

# The server stack with Debian's packages: minutes. What the machine lacks is skipped with the package's name.
deploy-test: setup-dev
	@exec $(PYTHON) -m pytest tests/deploy tests/deploy/stack $(ARGS)
