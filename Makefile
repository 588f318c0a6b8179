# The commands a person types. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CACHE := $(or $(QUORATE_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/quorate),$(HOME)/.cache/quorate)
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
DEBIAN_PACKAGES := build-essential clang libclang-dev python3-venv pkg-config ca-certificates curl
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
PYTEST_ARGS ?=

# Installs the Debian packages of a list that are missing; starts no service that comes with one.
define install_missing
missing=$$(for package in $(1); do \
  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo -n "$$package "; done); \
if [ -z "$$missing" ]; then exit 0; fi; \
if ! command -v apt-get >/dev/null; then echo "setup: not a Debian; please install what matches: $$missing"; exit 0; fi; \
if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
else echo "setup: missing: $$missing; become root or install sudo, then run this again" >&2; exit 1; fi; \
echo "setup: installing $$missing"; \
$$sudo apt-get update -q; $$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $$missing
endef

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 24

.PHONY: setup
setup: ## install what building needs (Debian packages; once)
	@$(call install_missing,$(DEBIAN_PACKAGES))

.PHONY: rocksdb
rocksdb: setup ## build RocksDB (about 4 minutes on 2 cores, once per machine)
	@cargo xtask rocksdb >/dev/null

.PHONY: build
build: rocksdb ## build the optimised binary: target/release/quorate
	cargo build --release --package quorate-cli
	@echo "built $(TARGET)/release/quorate"

.PHONY: binaries
binaries: rocksdb
	cargo build --package quorate-cli --package quorate-fake-provider

.PHONY: demo
demo: binaries ## a three-node cluster, a budget spent to the last request, the leader killed on the way
	QUORATE_BIN=$(TARGET)/debug/quorate python3 tests/demo.py

.PHONY: demo-stop
demo-stop: ## stop the cluster that the demo left running
	@python3 tests/demo.py stop

# A virtual environment with what a list names.
define make_venv
python=python3; python3 -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3; \
echo "venv: $$($$python --version)"; $$python -m venv --clear $(@D); \
$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<; touch $@
endef

.venv/ready: tests/requirements.txt
	@$(make_venv)

# Apart from the other: whoever only runs the tests needs no 100 MB of tools that check charts and containers.
.venv-cluster/ready: cluster/checks/requirements.txt
	@$(make_venv)

.PHONY: test
test: test-rust test-simulation test-end-to-end ## all tests: Rust, the simulation, then real processes with the OpenAI SDK

.PHONY: test-rust
test-rust: rocksdb
	cargo test --workspace

# Enough seeds to reach every state that matters; `make sim` and `make sim-cluster` run more.
.PHONY: test-simulation
test-simulation:
	@$(MAKE) --no-print-directory sim SEEDS=4000
	cargo test --quiet --release --package quorate-ledger --test invariants all_lives
	@$(MAKE) --no-print-directory sim-cluster SEEDS=500

.PHONY: test-end-to-end
test-end-to-end: binaries .venv/ready ## only the tests against real processes (PYTEST_ARGS="-k budget")
	@$(call install_missing,haproxy strace systemd)
	QUORATE_BIN=$(TARGET)/debug/quorate .venv/bin/python -m pytest tests $(PYTEST_ARGS)

TABLE ?= --nodes 3,10,30,100

.PHONY: quotas-table
quotas-table: ## measure what the quota protocol costs; writes table and figure of docs/quotas.md (TABLE="--nodes 3" takes a minute)
	@cargo run --quiet --release --package quorate-simulator -- --table $(TABLE) --figure docs/quotas.svg > $(TARGET)/quotas-table.md
	@sed -i -e '/^<!-- table -->/,/^<!-- end of table -->/{/^<!--/!d}' -e '/^<!-- table -->/r $(TARGET)/quotas-table.md' docs/quotas.md

SEEDS ?= 20000
START ?= 0

.PHONY: sim
sim: ## simulate the quota protocol over seeds (SEEDS=20000 START=0); a failing seed is replayed by its number
	cargo run --quiet --release --package quorate-simulator -- --seeds $(SEEDS) --start $(START)

# Tokio's lots can be seeded only with this flag; what is built with it is kept apart.
CLUSTER_SIMULATOR = RUSTFLAGS="--cfg tokio_unstable" cargo run --quiet --profile simulation --package quorate-cluster-simulator \
  --target-dir $(TARGET)/cluster --

.PHONY: sim-cluster
sim-cluster: rocksdb ## simulate whole clusters of the real node code over seeds (SEEDS=1000 START=0)
	$(CLUSTER_SIMULATOR) --seeds $(if $(filter file,$(origin SEEDS)),1000,$(SEEDS)) --start $(START)

.PHONY: mutants
mutants: ## put one mistake after the other into the quota protocol; the simulation must find each (long)
	cargo xtask mutants

.PHONY: mutants-cluster
mutants-cluster: rocksdb ## the same with mistakes in the nodes, for the simulation of whole clusters (long)
	cargo xtask mutants --cluster

.PHONY: verify
verify: checks test ## everything that must hold before a change is merged

.PHONY: checks
checks: fmt clippy layers tidy docs deny cluster-checks ## verify without the tests

.PHONY: fmt
fmt:
	cargo fmt --all --check

.PHONY: clippy
clippy: setup
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: layers
layers:
	@cargo xtask layers

.PHONY: tidy
tidy:
	@cargo xtask tidy

.PHONY: docs
docs: setup
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Built without optimisation: it runs for seconds.
$(CARGO_DENY):
	@echo "deny: building cargo-deny $(CARGO_DENY_VERSION) (once per machine)"
	cargo install --locked --debug cargo-deny --version $(CARGO_DENY_VERSION) \
	  --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION) --target-dir $(CACHE)/cargo-deny-build
	@rm -rf $(CACHE)/cargo-deny-build

.PHONY: deny
deny: $(CARGO_DENY)
	@if $(CARGO_DENY) fetch db >/dev/null 2>&1; then checks="advisories bans licenses sources"; else \
	  echo "##### deny: the advisory database cannot be fetched: KNOWN VULNERABILITIES ARE NOT CHECKED #####"; \
	  checks="bans licenses sources"; fi; \
	$(CARGO_DENY) --log-level error check --hide-inclusion-graph $$checks

.PHONY: cluster-checks
cluster-checks: .venv-cluster/ready ## hold the files of cluster/ against systemd, Docker, Helm, Kubernetes and Prometheus
	@$(call install_missing,systemd shellcheck prometheus)
	.venv-cluster/bin/python -m pytest --quiet cluster/checks

.PHONY: failover
failover: binaries .venv/ready ## kill the leader again and again, and measure until the next write (KILLS=100)
	QUORATE_BIN=$(TARGET)/debug/quorate .venv/bin/python tests/failover.py --kills $(or $(KILLS),100)
	QUORATE_BIN=$(TARGET)/debug/quorate .venv/bin/python tests/failover.py --kills $(or $(KILLS),100) --heartbeat-ms 300 --election-ms 900

.PHONY: bench
bench: rocksdb ## measure against nginx and a bare pass-through; writes docs/performance.md
	@$(call install_missing,nginx-light)
	cargo build --release --package quorate-cli --package quorate-bench
	$(TARGET)/release/quorate-bench --quorate $(TARGET)/release/quorate --report docs/performance.md
