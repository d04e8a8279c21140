# Ironhorse. `make help` lists the targets.
# One cargo profile (release) builds everything: RocksDB takes about 25 minutes on two cores, once.

SHELL := /bin/bash
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ironhorse/target
# A compiler cache, where there is one: the C++ of RocksDB is then compiled once a machine.
ifneq ($(wildcard /usr/lib/ccache),)
export PATH := /usr/lib/ccache:$(PATH)
endif

BIN := $(CARGO_TARGET_DIR)/release
DATA ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/ironhorse

.PHONY: help deps build run dist test check bench fuzz simulate clean

help: ## Lists the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

deps: ## Installs what the build needs (Debian)
	@scripts/deps

build: deps ## Builds the server (first time: about 30 minutes, of which RocksDB takes 25)
	@scripts/announce "$(BIN)"
	cargo build --release --locked -p ironhorse-rpc

run: build ## Builds and starts the server on the embedded log
	@mkdir -p "$(DATA)"
	@exec "$(BIN)/ironhorse" server --data-dir "$(DATA)"

dist: build ## Leaves one stripped binary in dist/ that runs elsewhere without building
	@mkdir -p dist
	@cp "$(BIN)/ironhorse" dist/ironhorse && strip dist/ironhorse
	@ls -lh dist/ironhorse

test: deps ## Everything that CI runs
	@scripts/test

check: deps ## Format, lints, licences, architecture rules
	@scripts/check

bench: build ## Measures: the gRPC ceiling, then the server under load
	cargo build --release --locked -p ironhorse-benches
	"$(BIN)/ironhorse-bench" all

SECONDS ?= 30
fuzz: deps ## Feeds every decoder and command with made-up input, SECONDS=30 each (TARGET=NAME: only that one)
	@SECONDS_EACH="$(SECONDS)" scripts/fuzz $(TARGET)

SEEDS ?= 10000
STEPS ?= 2000
FIRST ?= 1
LEAST ?= $(if $(shell test $(SEEDS) -ge 10000 && echo 1),100,0)
simulate: deps ## Servers, groups, log and clock simulated: SEEDS=10000 of STEPS=2000 from FIRST=1 on, or the one SEED=N
	SEEDS=$(SEEDS) STEPS=$(STEPS) FIRST=$(FIRST) LEAST=$(LEAST) $(if $(SEED),SEED=$(SEED)) \
		cargo test --release --locked -p ironhorse-runtime --test it simulation::simulate -- --ignored --nocapture

clean: ## Removes what was built
	cargo clean
	rm -rf dist
