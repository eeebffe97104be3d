.DEFAULT_GOAL := help
TOOL := go tool -modfile=tools/go.mod
CORPUS ?= ../shared

.PHONY: help run build test lint fmt generate verify bench chaos mutants fixture acceptance lines room reset

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start the Archive with a PostgreSQL of its own; everything stays in ./data
	@test/install postgres && exec bin/archive serve

build: ## bin/archive
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/archive ./cmd/archive

test: ## every test, against real components, with the race detector
	@test/run ./...

lint: ## golangci-lint (.golangci.yml) and gofumpt
	$(TOOL) golangci-lint run ./...
	@test/formatted

fmt: ## format the tree with gofumpt
	$(TOOL) gofumpt -w $$(git ls-files --cached --others --exclude-standard '*.go')

generate: ## write schemas/ from the code, its examples from a story told to it
	@test/with-pg go test ./test/api -run '^TestStory$$' -count=1 -update
	go run ./schemas/gen

verify: ## schemas/ is what the code says, and breaks nobody
	go run ./schemas/gen -verify

bench: ## measure against the baselines of test/bench/baseline
	@test/install postgres && go run ./test/bench

chaos: ## kill -9 everything under load and compare with the clients' ledger
	@test/install postgres && go run ./test/chaos

mutants: ## switch each mechanism off and see its test fail
	@test/mutants && test/install postgres && test/chaos/mutants

fixture: ## dump a demo log into test/fixtures, to be read for ever
	@test/fixture

acceptance: build ## import the real corpus and recompute its numbers (CORPUS=../shared)
	@test/accept $(CORPUS)

lines: ## lines per operation
	@go run ./test/lines

room: ## scaffold a room: make room R=name
	@test/room $(R)

reset: ## delete ./data, after asking
	@test/reset
