# The chores. Each is a thin call; what they need is installed, or named, by .ci/install.

export SQLX_OFFLINE := true

.PHONY: help demo clean-demo test bench nightly prepare check

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

nightly: ## the long tests: 900 kills at new points, and 20,000 calls by Schemathesis (the seed is printed)
	@.ci/install test
	SEALIFT_TEST_KILLS=$${SEALIFT_TEST_KILLS:-300} SEALIFT_TEST_CASES=$${SEALIFT_TEST_CASES:-20000} \
		SEALIFT_TEST_SEED=$${SEALIFT_TEST_SEED:-$$(date +%s)} \
		cargo test --locked --workspace --test end_to_end -- --nocapture killed schemathesis

prepare: ## write .sqlx anew, after a change of a query or the schema
	.ci/prepare

check: ## format, clippy, dependencies and documentation; .ci/run does everything
	.ci/run format clippy deny docs
