#!/usr/bin/env bash
# Runs every test: the packages on Linux with the race detector, their sweeps and
# models without it, the Windows tests of what touches the system and the whole
# processes under Wine, short fuzzing, and hcsshim's and hnslib's own integration
# suites against the emulator. Installs what it lacks and leaves nothing running. The last line
# counts the tests. What fails without a failed test counts as one, and the exit
# status is 0 when nothing failed: see test/tally.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/wine.sh
source scripts/wine.sh
export BULKHEAD_REQUIRE_WINE=1
log=$PWD/.build/test-logs tally=$PWD/.build/tally
rm -rf "$log" && mkdir -p "$log"
go build -o "$tally" ./test/tally

# The tests' files are many and small, so they are in memory where there is room.
files=
if [[ -w /dev/shm ]] && ! grep -q ' /dev/shm .*noexec' /proc/mounts && (($(df --output=avail /dev/shm | tail -n 1) > 1000000)); then
  files=$(mktemp -d /dev/shm/bulkhead.XXXXXX)
  export GOTMPDIR=${TMPDIR:-/tmp} TMPDIR=$files
fi
finish() {
  local status=$?
  wine_down || status=1
  rm -rf "$files"
  "$tally" sum "$log" "$status" || exit 1
}
trap finish EXIT

# part NAME COMMAND...: a part of the suite, which prints lines of go test.
part() { "$tally" run "$log" "$@"; }
# Not from the cache, which does not see that programs and DLLs are built anew.
# The limit is for a machine that does other things, too.
gotest() { part "$1" go test -json -count=1 -timeout=40m "${@:2}"; }

missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev) # the race detector's
command -v nft >/dev/null || missing+=(nftables)      # what the data plane wrote, read by another
command -v chromium >/dev/null || missing+=(chromium) # opens the page of `report`
if ((${#missing[@]})); then
  echo "test: installing ${missing[*]}"
  { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
fi
wine_up
shuffle=-shuffle=${SHUFFLE:-$(date +%s)} # a number repeats an earlier order
# One goroutine at a time works in these; the race detector would see nothing and
# take five times as long. Without much garbage collection they take a fifth less.
serial='^Test(Sweep|Model|RandomWalk|Witnesses|TighterNeverLoosens|CompileTooMany)$'

# Four packages at a time, since some wait most of theirs.
gotest linux -p=4 -race "$shuffle" -skip "$serial" ./pkg/... ./plugins/...
# The sweeps want one core. Packets, which wait most of their time, and then the Windows
# tests have the other one.
GOGC=800 gotest sweeps "$shuffle" -run "$serial" ./pkg/... &
sweeps=$!
gotest packets ./test/packets
GOOS=windows CGO_ENABLED=0 gotest windows -exec "$PWD/scripts/wine.sh run" ./pkg/{ipam,adminonly,uplink,bounded,cniplugin,hcn/hcnwin,hns/hnstest} ./pkg/hnsemu/emuclient
wait "$sweeps"
# One package at a time: beside e2e's hundred programs one of the benchmark was once
# killed from outside.
mapfile -t processes < <(go list ./test/... | grep -v '/test/packets$')
gotest processes -p=1 "${processes[@]}"
# So many inputs, not so many seconds: those can end in "context deadline
# exceeded" before Go 1.27 (https://go.dev/issue/75804).
for fuzz in config:FuzzParse:40000 hcn:FuzzDecode:40000 hcn:FuzzParsePolicy:80000 acl:FuzzWitnesses:800 plan:FuzzAnnotation:20000 ipam:FuzzConf:40000; do
  IFS=: read -r package target inputs <<<"$fuzz"
  gotest "fuzz-$target" -run='^$' -fuzz="^$target\$" -fuzztime="${inputs}x" "./pkg/$package"
done
for suite in hcsshim hnslib; do
  part "$suite" scripts/hcn-suite.sh "github.com/Microsoft/$suite/hcn"
done
