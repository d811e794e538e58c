# The chores. Each is a thin call; what they need is installed, or named, by .ci/install.

export SQLX_OFFLINE := true

# What libFuzzer counts; stable Rust can do it without a sanitizer. With a target named, build scripts stay plain.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing

.PHONY: help demo clean-demo test bench nightly fuzz prepare check

help: ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## enroll, deploy to two stores and rotate, before your eyes (ARGS=--keep leaves it running)
	@.ci/install demo
	cargo run --locked --bin demo -- $(ARGS)

clean-demo: ## end a kept demo and remove what it left
	cargo run --locked --bin demo -- --clean

test: ## all tests
	@.ci/install test
	cargo test --workspace --locked

bench: ## the benchmark, beside plain Postgres on the same machine
	@.ci/install demo
	cargo run --release --locked --bin bench -- $(ARGS)

nightly: ## the long tests: 900 kills, 20,000 calls by Schemathesis, 10,000 simulations, 10,000 races (the seed is printed)
	@.ci/install test
	export SEALIFT_TEST_SEED=$${SEALIFT_TEST_SEED:-$$(date +%s)}; \
	SEALIFT_TEST_KILLS=$${SEALIFT_TEST_KILLS:-300} SEALIFT_TEST_CASES=$${SEALIFT_TEST_CASES:-20000} \
		cargo test --locked --workspace --test end_to_end -- --nocapture killed schemathesis && \
	SEALIFT_TEST_SEEDS=$${SEALIFT_TEST_SEEDS:-10000} SEALIFT_TEST_RACES=$${SEALIFT_TEST_RACES:-10000} \
		cargo test --locked --workspace --test api -- --nocapture simulation lease_races

fuzz: ## ten minutes of random filters for the query language, guided by coverage (SECONDS_OF_FUZZING=600)
	CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$(or $(CARGO_TARGET_DIR),target)/fuzz RUSTFLAGS="$(COVERAGE)" \
		cargo build --release --locked -p sealift-tests --features fuzz --bin fuzz-query-language --target $(HOST)
	mkdir -p $(or $(CARGO_TARGET_DIR),target)/fuzz/corpus
	$(or $(CARGO_TARGET_DIR),target)/fuzz/$(HOST)/release/fuzz-query-language -max_total_time=$${SECONDS_OF_FUZZING:-600} \
		-max_len=4100 -print_final_stats=1 -artifact_prefix=$(or $(CARGO_TARGET_DIR),target)/fuzz/ \
		$(or $(CARGO_TARGET_DIR),target)/fuzz/corpus

prepare: ## write .sqlx anew, after a change of a query or the schema
	.ci/prepare

check: ## format, clippy, dependencies and documentation; .ci/run does everything
	.ci/run format clippy deny docs
