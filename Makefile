# Every command of the project, in a line each: `make help`. The work is done by the scripts named here.

.DEFAULT_GOAL := help
.SUFFIXES:
export PATH := $(PATH):$(HOME)/.cargo/bin

CLUSTER := e2e/cluster/cluster
TEST := e2e/test
IMAGE_CRATES := $(addprefix --package=foreshift-,operator node-agent entry-router models e2e)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo demo-clean footprint
demo: ## the whole story on a local cluster; FULL=1 the published runs; QUICK=1 Foreshift alone; SHAPE=flash|saw; ROUTER=1
	@e2e/demo/run
footprint: ## memory and CPU of agents and operator on the local cluster; run it while the demo runs
	@e2e/demo/footprint
demo-clean: ## remove what the demo made in the cluster, and Foreshift itself
	@e2e/demo/clean

.PHONY: test test-unit test-apiserver test-models test-peers test-prometheus test-chart test-e2e
test: ## all checks and tests, phase by phase, ending with a table of the time they took
	@$(TEST)
test-unit: ## unit and property tests of all crates
	@$(TEST) unit
test-apiserver: ## the operator's reconciles against a real kube-apiserver and etcd
	@$(TEST) apiserver
test-models: ## the shipped model against its card, its golden vectors and onnxruntime
	@$(TEST) models
test-peers: ## the entry router's frontends with a real Envoy and a Python client
	@$(TEST) peers
test-prometheus: ## a real Prometheus as the source of retraining
	@$(TEST) prometheus
test-chart: ## CRDs, helm lint, kubeconform, rejected values
	@$(TEST) chart
test-e2e: ## the demo on the local cluster, then the tests that need it installed
	@$(TEST) e2e

.PHONY: fresh
fresh: ## the commands of the README in a new root file system and a clean clone; STEP=demo runs only that
	@e2e/fresh $(if $(INTO),--into $(INTO)) $(STEP)

.PHONY: fuzz fuzz-models trace-10gb bench-engine bench-agent bench-models golden goals
fuzz: ## the engine's laws, the agent's parsers, batches and heads before the router, on CASES=1000000 each, and a tenth as many spoilt scenarios and traces
	@FUZZ_CASES=$(or $(CASES),1000000) cargo test --workspace --locked --test laws --test inputs --test proxy --lib fuzz
trace-10gb: ## read a trace of 10 GB, in bounded memory
	@TRACE_MEGABYTES=10240 cargo test --workspace --locked --test inputs huge
fuzz-models: ## CASES=20000 spoilt copies of the shipped model: refused, or still answering quantiles
	@FUZZ_CASES=$(or $(CASES),20000) cargo test --workspace --locked --test mutations
bench-engine: build ## time of an assignment and of a plan, into target/bench/engine.json; entries a second of the simulator; instructions
	@cargo bench --locked --package foreshift-engine --bench engine
	@$(TARGET)/debug/foreshift-simulator bench --into $(TARGET)/bench/engine.json
	@engine/instructions/run $(TARGET)/instructions
bench-models: build ## the figures of the models, on the traces in DATA=folder, into target/bench/models.json
	@$(TARGET)/debug/foreshift-trainer bench --data "$(DATA)" --models models --out $(TARGET)/bench/models.json
bench-agent: ## the agent beside prometheus-node-exporter in one run, into target/bench/agent.json
	@cargo build --release --locked --package foreshift-node-agent
	@e2e/bench/agent
.PHONY: bench-publish
bench-publish: ## what the personas of NODES=5000 nodes cost an API server, beside node leases, into target/bench/publish.json
	@e2e/bench/publish $(or $(NODES),5000)
golden: build ## simulate all scenarios with every policy, and write the tables of docs/simulator.md anew
	@$(TARGET)/debug/foreshift-simulator golden
goals: build ## hold the simulated figures against the project's goals
	@$(TARGET)/debug/foreshift-simulator goals

.PHONY: bench-router bench-proxy bench-picker bench-antagonist
bench-router: bench-proxy bench-picker bench-antagonist ## the next three, one after the other (a quarter of an hour), all into target/bench/router.json
bench-proxy: build ## the entry router beside Envoy, HAProxy and nginx on the same cores
	@e2e/bench/router
bench-picker: build ## what the endpoint picker costs an Envoy
	@e2e/bench/picker
bench-antagonist: build ## four replicas, one of them disturbed: the router beside power of two choices and round robin
	@e2e/bench/antagonist

.PHONY: setup build fmt lint crds proto images train train-impact record-impact record-traces
setup: ## install what is missing: Debian packages, Rust components, cargo-deny
	@e2e/setup
build: ## all crates, with the profile that tests, images and demo share
	@cargo build --workspace --all-targets --locked
fmt: ## format the Rust code
	@cargo fmt --all
lint: ## formatting, clippy, shellcheck, cargo-deny
	@$(TEST) format clippy scripts deny
crds: ## write crds/, the chart's copy and docs/reference/ anew from the Rust types
	@UPDATE=1 cargo test --workspace --locked --test crds --test reference
	@cp crds/*.yaml charts/foreshift/crds/
proto: ## write the code of entry-router/proto anew, and the JSON API's description
	@cargo run --quiet --manifest-path entry-router/proto/generate/Cargo.toml --target-dir $(TARGET)/proto
	@UPDATE=1 cargo test --locked --package foreshift-frontends openapi
images: ## image archives (OCI), into target/images/; PROFILE=release as they are published
	@cargo build --locked --profile $(or $(PROFILE),dev) --bins $(IMAGE_CRATES)
	@e2e/images/build --profile-dir $(TARGET)/$(or $(PROFILE),debug) journal operator node-agent entry-router trainer
train: build ## train the load forecaster on the traces in DATA=folder, into models/ and the chart
	@$(TARGET)/debug/foreshift-trainer train --data "$(DATA)" --out models
	@cp models/load.onnx models/load.json charts/foreshift/files/
train-impact: build ## train the impact model on the recorded entries in models/impact.csv.gz
	@$(TARGET)/debug/foreshift-trainer train-impact --entries models/impact.csv.gz --out models
record-impact: ## measure what entries cost real receivers on this machine, into models/impact.csv.gz
	@models/record/record.py
record-traces: ## record node series on the local cluster under PARTS=9 times three minutes of drawn load, into models/traces/
	@models/record/traces --parts $(or $(PARTS),9)

.PHONY: dev cluster-up cluster-down cluster-status install
dev: ## build what has changed and replace it in the local cluster, which must be up
	@e2e/dev
cluster-up: ## start the local cluster: one control plane, three nodes
	@$(CLUSTER) up
cluster-down: ## end it and leave nothing of it
	@$(CLUSTER) down
cluster-status: ## its machines, daemons and CPU quotas
	@$(CLUSTER) status
install: images ## load the images and install or upgrade the chart in the cluster
	@e2e/demo/install
