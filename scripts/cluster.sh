#!/usr/bin/env bash
# Kubernetes with emulated Windows nodes on this Linux machine: the real kubelet.exe,
# containerd.exe, kube-proxy.exe and bulkhead.exe under Wine. Needs root. Installs what it
# lacks with apt-get and go; the first build takes a quarter of an hour on two cores.
#
#   cluster.sh up [--nodes N] [--profile 2019|2022|2025] [--conf FILE]
#   cluster.sh kubectl get pods -o wide
#   cluster.sh test [NAME]
#   cluster.sh bench
#   cluster.sh down
#   cluster.sh --help
set -o errexit -o nounset -o pipefail
here=$PWD
cd "$(dirname "$0")/.."

build=.build/cluster
command=
for arg in "$@"; do
  case $arg in
    up | test | build | bench) command=$arg ;;
    -h | --help) command=help && break ;;
    kubectl | down | status | node | logs) command=$arg && break ;;
  esac
done
if [[ $EUID != 0 && $command != help ]]; then
  echo "cluster: a cluster needs root, for network namespaces and mounts; use sudo" >&2
  exit 1
fi
mkdir -p "$build"
go -C test/cluster build -o "$PWD/$build/cluster" .
[[ $command != test ]] || go build -o .build/tally ./test/tally
case $command in up | test | build | bench)
  export BULKHEAD_WINEPREFIX=$PWD/$build/wine
  # shellcheck source=scripts/wine.sh
  source scripts/wine.sh
  missing=()
  ldd "$(command -v busybox)" >/dev/null 2>&1 || missing+=(busybox) # not busybox-static
  command -v nsenter >/dev/null || missing+=(util-linux)
  if ((${#missing[@]})); then
    echo "cluster: installing ${missing[*]}" >&2
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
  fi
  wine_up # the prefix that the nodes begin with, which nobody may use then
  exec 8>&-
  wine_stop
  ;;
esac
root=$PWD
cd "$here"
exec "$root/$build/cluster" --root "$root" "$@"
