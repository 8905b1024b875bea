# Everything a person or CI runs. `make` alone lists it. Each target installs what it needs, except the Rust and Go
# toolchains, which it names when they are missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Several targets at once (`make -j lint unit`) run one after the other: they share one build folder and two cores.
.NOTPARALLEL:

# Where tools stand right after their installers ran, before the next login shell knows of them.
export HOME ?= $(shell getent passwd "$$(id -u)" | cut -d: -f6)
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

.PHONY: help run test lint fmt unit e2e e2e-ollama crds bench deny clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## A local cluster with KubeChat in it, until Ctrl-C (first time: about 15 minutes of building)
	@scripts/need rust go packages
	cargo build --workspace --bins
	@exec "$$(scripts/target-dir)/debug/kubechat-dev"

test: ## Everything CI runs: format, lint, licences, unit, property and end-to-end tests
	@scripts/need rust go packages
	@scripts/test fmt clippy deny crds unit e2e

lint: ## Check format and lints
	@scripts/need rust packages
	@scripts/test fmt clippy

fmt: ## Format the code
	@scripts/need rust
	cargo fmt --all

unit: ## Unit, property and documentation tests; they need no cluster
	@scripts/need rust packages
	@scripts/test unit

e2e: ## Black-box tests against a real API server (make e2e NAME=scale runs those with "scale" in their name)
	@scripts/need rust go packages
	@scripts/test e2e $(NAME)

e2e-ollama: ## A real Ollama with a small real model reads turns (first time: about 10 minutes of building, 240 MB)
	@scripts/need rust go packages model
	@KUBECHAT_WEIGHTS="$$(scripts/weights)" scripts/test e2e models::ollama

crds: ## Write crds/manifests anew from the crds crate
	@scripts/need rust packages
	cargo run -q -p kubechat-crds --bin crdgen

bench: ## Measure throughput and latency against a real API server; writes target/bench/results.json
	@scripts/need rust go packages
	cargo build --release --workspace --bins
	@exec "$$(scripts/target-dir)/release/kubechat-bench"

deny: ## Check licences, duplicates, sources and (with a network) advisories of all dependencies
	@scripts/need rust packages
	@scripts/deny

clean: ## Remove what was built here; the caches outside the clone stay
	cargo clean
