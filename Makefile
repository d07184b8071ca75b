SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The specs to run, and how many processes share a suite. Each suite starts a
# private PostgreSQL by itself: there is nothing to export.
#   make test SUITES=./internal/orders
SUITES ?= .
PROCS  ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$(( n > 4 ? 4 : n )))

# go run, so that the runner is always of the library's version.
GINKGO := go run github.com/onsi/ginkgo/v2/ginkgo -r -p --procs=$(PROCS) --randomize-all --randomize-suites \
	--fail-on-pending --fail-on-empty --keep-going

# Flags of the bench: docs/bench.md.
BENCH ?=

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .bin/golangci-lint-$(GOLANGCI_VERSION)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: postgres build ## Start a shop with demo data on this machine (fusion dev)
	bin/fusion dev

.PHONY: build
build: ## Build bin/fusion
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/fusion ./cmd/fusion

.PHONY: test
test: postgres kafka redis oidc stripe ## Run all specs (SUITES=./internal/orders for some)
	$(GINKGO) $(SUITES)

.PHONY: faults
faults: postgres kafka ## Break the program the way machines do, at full size (minutes)
	FUSION_FAULTS=full $(GINKGO) -v --procs=1 ./test/faults

.PHONY: bench
bench: ## Measure the program beside what the machine can do (BENCH='-only list' for some)
	@$(MAKE) --no-print-directory postgres build >&2
	@go run ./test/bench -binary bin/fusion -commit $(VERSION) $(BENCH)
.PHONY: mutants
mutants: postgres ## Show that specs fail when the program is wrong (minutes)
	scripts/mutants.sh

# Ways to deploy the program that the end-to-end specs are run against. Split in two
# implies Kafka; on Kafka alone is for when the bus is what changed.
DEPLOYMENTS ?= kafka split pgbouncer

.PHONY: deployments
deployments: postgres kafka redis ## Run the end-to-end specs on Kafka, split in two, and behind PgBouncer
	@scripts/ensure-pgbouncer.sh
	@for kind in $(DEPLOYMENTS); do \
		echo "deployment: $$kind"; \
		FUSION_E2E_DEPLOYMENT=$$kind $(GINKGO) ./test/e2e || exit 1; \
	done

# What runs on one goroutine: the race detector has nothing to find there.
SEQUENTIAL := catalogapi,checkoutapi,groupbuyapi,identityapi,inventoryapi,ordersapi,paymentsapi,pricingapi,tenantapi,calc,config,eventschema,money,sheet,label

.PHONY: race
race: postgres kafka redis oidc stripe ## Run the specs of internal/ under the race detector
	CGO_ENABLED=1 $(GINKGO) --race --skip-package=$(SEQUENTIAL) ./internal

.PHONY: lint
lint: $(GOLANGCI) ## Run golangci-lint
	$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the code and sort its imports
	$(GOLANGCI) fmt ./...

.PHONY: generate
generate: ## Rewrite what is generated from the code
	go generate ./...

.PHONY: fresh
fresh: ## Fail when generated files are stale (and rewrite them)
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT; \
	tree() ( export GIT_INDEX_FILE="$$tmp/index"; git add --all . && git write-tree ); \
	before=$$(tree) && $(MAKE) --no-print-directory generate && after=$$(tree) && \
	if [[ $$before != "$$after" ]]; then \
		echo "generated files were stale; commit what 'make generate' wrote:"; \
		git diff --stat "$$before" "$$after"; exit 1; \
	fi

.PHONY: check
check: $(GOLANGCI) ## All that a change must pass: format, vet, lint, generated files, specs
	$(GOLANGCI) fmt --diff ./...
	go vet ./...
	$(MAKE) --no-print-directory lint fresh test

.PHONY: postgres
postgres: ## Install PostgreSQL's programs when there are none
	@scripts/ensure-postgres.sh

.PHONY: kafka
kafka: ## Install Apache Kafka for the specs when there is none
	@scripts/ensure-kafka.sh

.PHONY: redis
redis: ## Install Redis for the specs when there is neither it nor Valkey
	@scripts/ensure-redis.sh

.PHONY: oidc
oidc: ## Install an identity provider for the specs when there is none
	@scripts/ensure-oidc.sh

.PHONY: stripe
stripe: ## Install stripe-mock, which checks requests, for the specs when there is none
	@scripts/ensure-stripe-mock.sh

.PHONY: clean
clean: ## Remove what was built (the data of `fusion dev` stays)
	rm -rf bin .bin

# The version is part of the file name: a new one is installed, an old one is not rebuilt.
$(GOLANGCI):
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .bin/golangci-lint $@
