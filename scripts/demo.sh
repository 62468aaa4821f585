#!/usr/bin/env bash
# Shows Bulkhead at work: pods on an emulated Windows node, through the real
# bulkhead.exe under Wine. Installs what it lacks with apt-get and go, and leaves
# nothing running. Takes --driver, --isolation, --profile, --packets, --keep and --help.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

build=.build/demo
go build -o "$build/" ./test/demo
for arg in "$@"; do
  case $arg in -h | -help | --help) exec "$build/demo" --help ;; esac
done

# shellcheck source=scripts/wine.sh
source scripts/wine.sh
trap wine_down EXIT
echo "demo: starting Wine (the first time it is installed and set up, which takes a minute)"
wine_up
echo "demo: building bulkhead.exe and the program that plays containerd"
GOOS=windows CGO_ENABLED=0 go build -trimpath -o "$build/" ./plugins/bulkhead ./test/runtime
trap : INT # the demo cleans up, then this does
"$build/demo" "$@" 8>&-
