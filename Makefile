# The one entry: `make` builds, `make help` lists the rest. Each target sets up all it needs from a fresh clone;
# stamp files in .build/ remember what is done, so that a second call costs nothing.

PYTHON ?= python3
CARGO ?= cargo
# How long `make fuzz` runs each target, and how long `make demo` runs (0: until Ctrl-C).
SECONDS ?= 60
DEMO_SECONDS ?= 0
# How the packet path is compiled: `dev` shares what `cargo test` compiles, and is not for measuring.
PROFILE ?= release
# Test processes at once. They wait half of their time: for deadlines of the balancers that they start, and for their ends.
JOBS ?= 3

# maturin calls pip as well; its progress is no news.
export PIP_QUIET := 1

BIN := .venv/bin
VENV := .build/venv.stamp
NATIVE := .build/native-$(PROFILE).stamp
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := build
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help build demo test test-rust test-python stubtest lint lint-rust lint-python deny docs docs-check bench fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(NATIVE) ## the virtual environment and the packet path, in .venv

$(VENV): pyproject.toml
	@command -v $(CARGO) >/dev/null || { echo "make needs cargo (Rust 1.88 or newer); without it, 'pip install .' fetches its own"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --group dev
	@mkdir -p .build && touch $@

$(NATIVE): $(VENV) $(RUST_SOURCES)
	$(BIN)/maturin develop --profile $(PROFILE) --locked --quiet
	@mkdir -p .build && rm -f .build/native-*.stamp && touch $@

demo: $(NATIVE) ## three endpoints, one balancer, a live table (DEMO_SECONDS=10 to stop by itself)
	$(BIN)/evenly demo $(if $(filter-out 0,$(DEMO_SECONDS)),--seconds $(DEMO_SECONDS))

test: test-rust stubtest test-python ## every test: Rust, the native stub, Python, end to end

test-rust:
	$(CARGO) test --workspace --locked --quiet

stubtest: $(NATIVE)
	$(BIN)/python -m mypy.stubtest evenly._native

test-python: $(NATIVE)
	$(PYTEST) -n $(JOBS) --dist loadfile

lint: lint-rust lint-python stubtest deny docs-check ## formatting, lints, types, walls, licences, stale docs

lint-rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings

lint-python: $(NATIVE)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) --quiet tests/tidy

# The same rules stand in tests/tidy/test_crates.py, which needs no tool that must be built first.
deny:
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check bans licenses sources; \
	else echo "cargo-deny is not installed; tests/tidy/test_crates.py has checked licences and dependencies"; fi

docs: $(NATIVE) ## render the reference pages from the schema
	$(BIN)/python -m evenly.config.reference docs/reference

docs-check: $(NATIVE)
	$(BIN)/python -m evenly.config.reference --check docs/reference

bench: $(NATIVE) ## side by side with HAProxy, nginx and Envoy; renders docs/benchmarks.md
	$(BIN)/python -m bench

fuzz: ## run each fuzz target for SECONDS
	@rustup run nightly rustc --version >/dev/null 2>&1 || { echo "make fuzz needs a nightly toolchain (libFuzzer's instrumentation is unstable): rustup toolchain install nightly"; exit 1; }
	@command -v cargo-fuzz >/dev/null || test -x .build/tools/bin/cargo-fuzz || $(CARGO) install cargo-fuzz --locked --root .build/tools
	fuzz/seed
	@set -e; PATH="$$PWD/.build/tools/bin:$$PATH"; for target in $$($(CARGO) +nightly fuzz list); do \
		echo "fuzz: $$target for $(SECONDS) s"; \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(SECONDS) -print_final_stats=1; done

clean: ## remove what was built
	rm -rf target .build .venv dist fuzz/target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find python -name '*.so' -delete
