# Every command that the project needs. `make` alone lists them.

SHELL := /bin/bash
CARGO ?= cargo
# `dev` builds fast; its dependencies are optimised. `PROFILE=release` optimises all code.
PROFILE ?= dev
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

.DEFAULT_GOAL := help
.PHONY: help demo test crash fuzz api test-modules bench peers guests lint lint-modules deny check image container-root doc build install

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

build: ## Build the host and the client, one binary: tidemill
	$(CARGO) build --locked --profile $(PROFILE) -p tidemill

install: ## Install the optimised binary for this user
	$(CARGO) install --locked --path runtime/cli

demo: guests build ## Start a host with modules that process real input; Ctrl-C ends it, the next start resumes
	$(CARGO) run --quiet --locked --profile $(PROFILE) -p tidemill -- demo $(ARGS)

guests: ## Build every module of guests/ and examples/ from source
	.ci/build-guests.sh

test: guests ## Run every test (with cargo-nextest if it is installed)
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --workspace --locked --no-fail-fast
	$(CARGO) test --workspace --locked --doc
else
	$(CARGO) test --workspace --locked --no-fail-fast
endif

# Number of seeds of the crash matrix, and the first seed.
SEEDS ?= 300
FIRST ?= 1
# Duration of `make api`, in seconds.
SECONDS_MAX ?= 180

crash: guests ## Run the whole crash matrix: end the host at every failpoint (SEEDS=300 FIRST=1)
	TIDEMILL_CRASH_SEEDS=$(SEEDS) TIDEMILL_CRASH_FIRST=$(FIRST) $(CARGO) test --workspace --locked --test crash -- --nocapture

# Total iterations of the fuzzer, its seed, and its targets (all if empty).
ITERATIONS ?= 10000000
SEED ?= 1
TARGETS ?=

fuzz: ## Fuzz every parser that reads bytes from outside (ITERATIONS=10000000 SEED=1 TARGETS="json cron")
	$(CARGO) run --quiet --locked --release -p tidemill-fuzz -- --iterations $(ITERATIONS) --seed $(SEED) $(TARGETS)

test-modules: ## Run the unit tests of the SDK and of the modules on the native target
	.ci/modules.sh test

lint: lint-modules ## Check formatting, and run clippy with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

lint-modules:
	.ci/modules.sh lint

deny: ## Check licences, sources, duplicates and advisories of the dependencies
	.ci/deny.sh

api: guests ## Test a running host against its OpenAPI document with schemathesis (SECONDS_MAX=180; needs python3)
	SCHEMATHESIS_SECONDS=$(SECONDS_MAX) .ci/schemathesis.sh

check: ## Run what CI runs: lint, deny, every test
	.ci/run

bench: ## Run every benchmark and write the table (takes minutes)
	.ci/bench.sh

peers: ## Compare with Restate on this machine (needs node, npm, oha; the first build takes 15 minutes)
	node tests/load/peers/run.mjs

image: ## Build the container image tidemill:dev
	docker build -f runtime/deploy/Dockerfile -t tidemill:dev .

container-root: ## Test the root file system of the image without a container engine
	.ci/container-root.sh

doc: ## Build the book (docs/book, if mdbook is installed) and the Rust documentation
	@if command -v mdbook >/dev/null; then mdbook build docs; else echo "mdbook is not installed: the book is plain Markdown in docs/src"; fi
	$(CARGO) doc --workspace --no-deps --locked
