# What a contributor runs. Needed: Go (the version in go.mod) and Node 20 or newer; the rest is fetched.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The installed Go or none: a toolchain fetched in passing would measure something else.
export GOTOOLCHAIN := local
# `make bench ONLY=prefix` and `make proof ONLY=prefix` run a part.
export ONLY

packages := $(wildcard cmd delivery batch admin internal docs kustomize datadog)
# Modules of their own, so that the libraries of their tests stay out of the servers.
packaging := kustomize datadog
npm := node_modules/.complete
assets_src := $(wildcard admin/assets/src/*)
assets := $(if $(assets_src),admin/assets/dist/.complete)

# What `make e2e` needs from Debian, as command:package. The race detector needs the C compiler.
debian := cc:gcc cc:libc6-dev chromium:chromium redis-server:redis-server xmllint:libxml2-utils wrk:wrk

.PHONY: help run test e2e check bench proof cluster deps generate build clean

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | \
		while IFS=$$'\t' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

run: $(npm) $(assets) ## everything on this machine, with demo data; Ctrl-C stops it, state stays in var/
	@go build -o bin/standalone ./cmd/standalone
	@exec bin/standalone

test: $(npm) $(assets) ## unit tests with the race detector and coverage; TESTFLAGS adds flags
	@mkdir -p var
	@command -v $$(go env CC) >/dev/null || .ci/compiler
	@race=; \
	if command -v $$(go env CC) >/dev/null; then race=-race; \
	elif [ -x var/compiler/cc ]; then race=-race; export CGO_ENABLED=1 CC=$(CURDIR)/var/compiler/cc; fi; \
	set -x; go test $$race -timeout 10m -coverprofile=var/coverage.out $(TESTFLAGS) ./...
	go test -count=1 -run '[Aa]lloc' ./delivery/... ./internal/event ./internal/telemetry ./internal/money
	@set -x; for module in $(packaging); do go -C $$module test -count=1 ./...; done
	@go tool cover -func=var/coverage.out | awk '/^total:/ { print "coverage of statements: " $$3 }'

e2e: deps $(assets) ## the whole circle through real processes and a browser
	go test -tags e2e -count=1 -timeout 10m $(TESTFLAGS) ./internal/e2e/...

check: $(npm) $(assets) ## format, vet, lint, generated code, module files, scripts
	@unformatted=$$(gofmt -l $(packages)); [ -z "$$unformatted" ] || { echo "gofmt -w these:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go vet -tags e2e ./...
	go tool staticcheck -tags e2e ./...
	@.ci/generated
	@set -x; for module in $(packaging); do go -C $$module vet ./...; go -C $$module mod tidy -diff; go -C $$module mod verify; done
	go -C kustomize vet -tags cluster ./...
	go mod tidy -diff
	go mod verify
	@if grep -n '"resolved"' package-lock.json; then echo "package-lock.json holds download addresses; see .npmrc"; exit 1; fi
	@for script in .ci/*; do bash -n "$$script"; done
	@echo "make check: all good"

bench: $(npm) $(assets) ## measure; ONLY=prefix runs a part; figures also in var/bench.txt
	go run ./internal/bench

proof: deps $(assets) ## every figure of every promise at full size; ONLY=prefix runs a part
	go run ./internal/bench -proof

cluster: ## apply the manifests to the API server of KUBECONFIG, and take them away again
	go -C kustomize test -tags cluster -count=1 -timeout 10m -run Cluster -v .

deps: $(npm) ## fetch what is needed beyond Go and Node; Debian packages only where root runs it
	@missing=; for pair in $(debian); do command -v "$${pair%%:*}" >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; \
	else echo "make e2e needs these, which only root can install (Debian: apt-get install$$missing)"; fi

generate: ## rewrite generated code: templ's *_templ.go
	go tool templ generate
	gofmt -w $$(find $(packages) -name '*_templ.go')

build: $(assets) ## all programs, in bin/
	go build -o bin/ ./cmd/...

clean: ## remove what was built; the state of `make run` in var/ stays
	rm -rf bin admin/assets/dist/* admin/assets/dist/.complete var/coverage.out

# npm ci empties node_modules first, so the stamp inside tells that it went through.
$(npm): package.json package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "npm is missing: install Node 20 or newer (https://nodejs.org)"; exit 1; }
	npm ci --loglevel=error
	@touch $@

# The console's bundle: embedded into the binary, never committed.
admin/assets/dist/.complete: $(assets_src) $(npm)
	@rm -rf admin/assets/dist/*
	go tool esbuild $(wildcard admin/assets/src/console.js admin/assets/src/console.css) --bundle --minify \
		--outdir=admin/assets/dist --target=es2022 --legal-comments=linked --log-level=warning \
		--loader:.woff=file --loader:.woff2=file --loader:.ttf=file --loader:.eot=file \
		--loader:.svg=file --loader:.png=file --asset-names=[name]-[hash]
	@touch $@
