#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hcn-suite.sh PACKAGE: runs the integration suite of a package hcn, unchanged,
# under Wine against the emulator. The package is github.com/Microsoft/hcsshim/hcn
# or github.com/Microsoft/hnslib/hcn; test/suites keeps both in go.mod. Prints
# what the suite prints, and keeps it in .build/hcsshim.log or .build/hnslib.log.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

package=${1:?usage: hcn-suite.sh PACKAGE}
name=$(basename "$(dirname "$package")")

# shellcheck source=scripts/wine.sh
source scripts/wine.sh
trap wine_down EXIT

suite=$PWD/.build/$name.test.exe log=$PWD/.build/$name.log
mkdir -p .build && : >"$log" # not an earlier run's
GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go test -c -tags integration -o "$suite" "$package"
go build -o .build/hnsemud ./test/hnsemud

# Not before: building can take longer than a prefix without programs stays up.
wine_up

# The daemon ends with this script, however that ends: its stdin closes then.
coproc hnsemud { exec .build/hnsemud --profile 2025 --exit-with-stdin 8>&-; }
read -r line <&"${hnsemud[0]}"
export HNSEMU_ADDR=${line#listening on }

wine_run "$suite" -test.list . | tr -d '\r' | grep '^Test' | sort >".build/$name.tests"
wine_run "$suite" -test.v -test.timeout 20m 2>&1 | tee "$log" || true

# What never ended failed, too: the suite may have crashed.
ended() { sed -n "s/^--- \($1\): \([^ ]*\).*/\2/p" "$log" | sort; }
comm -23 ".build/$name.tests" <(ended 'PASS\|FAIL\|SKIP') | sed 's/^/--- FAIL: /'
passed=$(ended PASS | wc -l) skipped=$(ended SKIP | wc -l)
failed=$(($(wc -l <".build/$name.tests") - passed - skipped))
((skipped == 0)) || echo "$name suite: $skipped skipped themselves: $(ended SKIP | xargs)"
echo "$name suite: $passed passed, $failed failed"
((passed > 0 && failed == 0))
