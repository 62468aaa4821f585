#!/usr/bin/env bash
# Runs every test: the packages on Linux with the race detector, the same
# packages' Windows tests and the whole processes under Wine, short fuzzing, and
# hcsshim's own integration suite against the emulator. Installs what it lacks
# and leaves nothing running. The last line says how many tests ran.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/wine.sh
source scripts/wine.sh
trap wine_down EXIT
export BULKHEAD_REQUIRE_WINE=1
if ! command -v gcc >/dev/null; then
  echo "test: installing gcc, which the race detector needs"
  apt-get update >&2 && apt-get install --yes --no-install-recommends gcc libc6-dev >&2
fi
log=$PWD/.build/test-logs
rm -rf "$log" && mkdir -p "$log"
failed=0

# run NAME COMMAND...: runs a part of the tests, keeps its log, shows what fails.
run() {
  local name=$1 start=$SECONDS
  shift
  echo "test: $name"
  if "$@" >"$log/$name.log" 2>&1; then
    echo "test: $name took $((SECONDS - start)) s"
  else
    failed=1
    echo "test: $name FAILED; its last lines:" >&2
    grep -v -E '^ *(=== |--- PASS|PASS$)' "$log/$name.log" | tail -n 80 >&2
  fi
}

wine_up
run linux go test -count=1 -race -shuffle=on -v ./pkg/... ./plugins/...
run windows env GOOS=windows CGO_ENABLED=0 go test -v -exec "$PWD/scripts/wine.sh run" \
  ./pkg/hns ./pkg/acl ./pkg/config ./pkg/plan ./pkg/ipam ./pkg/bounded ./pkg/uplink ./pkg/hcndoc ./pkg/cniplugin ./pkg/hnsemu/emuclient ./pkg/hnstest
# Not from the cache: it does not see that bulkhead.exe is built anew.
run processes go test -count=1 -v -timeout 30m ./test/...
for target in pkg/config:FuzzParse pkg/hcndoc:FuzzDecode pkg/hcndoc:FuzzParsePolicy pkg/acl:FuzzWitnesses pkg/ipam:FuzzConf; do
  run "fuzz-${target#*:}" go test -run '^$' -fuzz "^${target#*:}\$" -fuzztime 15s "./${target%:*}"
done
run hcsshim scripts/hcsshim-suite.sh
grep '^hcsshim suite:' "$log/hcsshim.log" || true

# hcsshim's own tests count, too; their log is the suite's.
count() { cat "$log"/*.log .build/hcsshim.log | grep -c -E "^ *--- $1" || true; }
passed=$(count PASS) skipped=$(count SKIP) broken=$(count FAIL)
echo "tests: $passed passed, $broken failed, $skipped skipped"
exit "$failed"
