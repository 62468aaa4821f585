#!/usr/bin/env bash
# Runs the linters over the Linux and the Windows build, tests included.
# Installs the pinned golangci-lint into .build/bin when it is not there.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

version=v2.15.0
lint=$PWD/.build/bin/golangci-lint
if [[ ! -x $lint || $($lint version) != *"${version#v}"* ]]; then
  echo "lint: installing golangci-lint $version"
  GOBIN=$PWD/.build/bin go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
fi

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [[ -n $unformatted ]]; then
  echo "lint: not formatted by gofmt: $unformatted" >&2
  exit 1
fi
go mod tidy -diff
for goos in linux windows; do
  echo "lint: GOOS=$goos"
  GOOS=$goos CGO_ENABLED=0 go build ./...
  GOOS=$goos CGO_ENABLED=0 go vet ./...
  GOOS=$goos CGO_ENABLED=0 "$lint" run ./...
done
# The cluster's modules, each for what it runs on. That of Kubernetes has two small mains,
# which building the cluster compiles.
module() {
  echo "lint: test/$1, GOOS=$2"
  (
    cd "test/$1"
    export GOOS=$2 CGO_ENABLED=0 GOFLAGS=-trimpath
    go mod tidy -diff
    go vet ./...
    "$lint" run --config "$root/.golangci.yml" ./...
  )
}
root=$PWD
module cluster linux
module cluster/containerd windows
module cluster/containerd linux # the shim of Linux nodes
# Known vulnerabilities in what the executable calls. Without the database nothing can be
# said, and that is said.
vulnerable=$PWD/.build/bin/govulncheck vulnerable_version=v1.9.0
if [[ ! -x $vulnerable ]]; then
  echo "lint: installing govulncheck $vulnerable_version"
  GOBIN=$PWD/.build/bin go install "golang.org/x/vuln/cmd/govulncheck@$vulnerable_version"
fi
status=0
report=$(GOOS=windows CGO_ENABLED=0 timeout 300 "$vulnerable" ./plugins/... 2>&1) || status=$?
case $status in
  0) echo "lint: no known vulnerability in what bulkhead.exe calls" ;;
  3) # found some
    echo "$report" >&2
    exit 1
    ;;
  *) echo "lint: SKIPPED govulncheck, which cannot reach its database: ${report##*$'\n'}" ;;
esac
echo "lint: clean for linux and windows"
