# Every command that the project needs. `make` alone lists them.

SHELL := /bin/bash
CARGO ?= cargo
# `dev` is quick to build, and its dependencies are optimised all the same. `make demo PROFILE=release` for the real thing.
PROFILE ?= dev
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

.DEFAULT_GOAL := help
.PHONY: help demo test crash fuzz api test-modules bench peers guests lint lint-modules deny check image container-root doc build install

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

build: ## Build the host and the client, one binary: tidemill
	$(CARGO) build --locked --profile $(PROFILE) -p tidemill

install: ## Install that binary, with optimisation, for this user
	$(CARGO) install --locked --path runtime/cli

demo: guests build ## Start a host with modules at work on real input; Ctrl-C ends it, and a second start goes on
	$(CARGO) run --quiet --locked --profile $(PROFILE) -p tidemill -- demo $(ARGS)

guests: ## Build every module of guests/ and examples/ from source
	.ci/build-guests.sh

test: guests ## Run every test (with cargo-nextest where it is installed)
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --workspace --locked --no-fail-fast
	$(CARGO) test --workspace --locked --doc
else
	$(CARGO) test --workspace --locked --no-fail-fast
endif

# So many seeds of the crash matrix, from so many on.
SEEDS ?= 300
SECONDS_MAX ?= 180
FIRST ?= 1

crash: guests ## The whole crash matrix: the host ended at every gate, hundreds of seeds (SEEDS=300 FIRST=1)
	TIDEMILL_CRASH_SEEDS=$(SEEDS) TIDEMILL_CRASH_FIRST=$(FIRST) $(CARGO) test --workspace --locked --test crash -- --nocapture

# Iterations of the fuzzer in all, its seed, and the names of targets (all of them if empty).
ITERATIONS ?= 10000000
SEED ?= 1
TARGETS ?=

fuzz: ## Mutated inputs for every parser that reads bytes from outside (ITERATIONS=10000000 SEED=1 TARGETS="json cron")
	$(CARGO) run --quiet --locked --release -p tidemill-fuzz -- --iterations $(ITERATIONS) --seed $(SEED) $(TARGETS)

test-modules: ## Run the unit tests of the SDK and of the modules, on this machine's own target
	.ci/modules.sh test

lint: lint-modules ## Formatting and clippy, warnings being errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

lint-modules:
	.ci/modules.sh lint

deny: ## Licences, sources, duplicates and known weaknesses of the dependencies
	.ci/deny.sh

api: guests ## Hold a running host to its OpenAPI document with schemathesis (SECONDS_MAX=180; needs python3)
	SCHEMATHESIS_SECONDS=$(SECONDS_MAX) .ci/schemathesis.sh

check: ## What CI runs: lint, deny, every test
	.ci/run

bench: ## Measure everything and write the table (takes minutes)
	.ci/bench.sh

peers: ## Measure beside Restate on this machine (needs node, npm, oha; the first time builds for a quarter of an hour)
	node tests/load/peers/run.mjs

image: ## Build the container image tidemill:dev
	docker build -f runtime/deploy/Dockerfile -t tidemill:dev .

container-root: ## Try the image's root file system without a container engine
	.ci/container-root.sh

doc: ## Build the book (docs/book, where mdbook is installed) and the Rust documentation
	@if command -v mdbook >/dev/null; then mdbook build docs; else echo "mdbook is not installed: the book is plain Markdown in docs/src"; fi
	$(CARGO) doc --workspace --no-deps --locked
