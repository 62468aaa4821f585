#!/usr/bin/env bash
# Measures Bulkhead beside win-bridge, win-overlay and host-local on one emulated
# node under Wine, and prints a table. Takes some minutes, installs what it lacks,
# and leaves nothing running. Figures are worth comparing only within one run, on a
# machine that does nothing else.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/wine.sh
source scripts/wine.sh
trap wine_down EXIT
wine_up
go test -count=1 -timeout 60m ./test/bench -run TestBench -measure -v 8>&- | grep -E '^\||^$|FAIL|bench_test'
