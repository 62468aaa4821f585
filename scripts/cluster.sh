#!/usr/bin/env bash
# Kubernetes with emulated Windows nodes on this Linux machine: the real kubelet.exe,
# containerd.exe, kube-proxy.exe and bulkhead.exe under Wine. Needs root. Installs what it
# lacks with apt-get and go; the first build takes a quarter of an hour on two cores.
#
#   cluster.sh up [--nodes N] [--linux-nodes N] [--profile 2019|2022|2025] [--conf FILE]
#   cluster.sh kubectl get pods -o wide
#   cluster.sh test [NAME]
#   cluster.sh conformance
#   cluster.sh mutants
#   cluster.sh bench
#   cluster.sh down
#   cluster.sh --help
set -o errexit -o nounset -o pipefail
here=$PWD
cd -P "$(dirname "$0")/.."

build=.build/cluster
command= before=
for arg in "$@"; do
  [[ $before != --name ]] || arg=
  before=$arg
  case $arg in
    up | test | conformance | mutants | build | bench | kubectl | down | status | node | logs) command=$arg && break ;;
    -h | --help) command=help && break ;;
  esac
done
if [[ $EUID != 0 && $command != help ]]; then
  echo "cluster: a cluster needs root, for network namespaces and mounts; use sudo" >&2
  exit 1
fi
mkdir -p "$build"
go -C test/cluster build -o "$PWD/$build/cluster" .
[[ $command != test && $command != mutants ]] || go build -o .build/tally ./test/tally
case $command in up | test | conformance | mutants | build | bench)
  # Wine's own words for a full disk are "could not load kernel32.dll".
  if (($(df --output=avail "$build" | tail -n 1) < 1000000)); then
    echo "cluster: less than 1 GB is free in $PWD/$build; the programs and Wine take 2 GB, Go's caches more, and each node some 100 MB" >&2
    exit 1
  fi
  export BULKHEAD_WINEPREFIX=$PWD/$build/wine
  # shellcheck source=scripts/wine.sh
  source scripts/wine.sh
  missing=()
  ldd "$(command -v busybox)" >/dev/null 2>&1 || missing+=(busybox) # not busybox-static
  command -v nsenter >/dev/null || missing+=(util-linux)
  command -v curl >/dev/null || missing+=(curl)
  command -v dig >/dev/null || missing+=(bind9-dnsutils)
  command -v nc.openbsd >/dev/null || missing+=(netcat-openbsd)
  command -v nft >/dev/null || missing+=(nftables) # for kube-proxy of Linux nodes
  if ((${#missing[@]})); then
    echo "cluster: installing ${missing[*]}" >&2
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
  fi
  # The prefix that the nodes begin with. It is made once: clusters that are up have it
  # below their nodes' files.
  exec 7>"$build/template.lock" # wine.sh has one of its own
  flock 7
  wine_install
  if [[ ! -f $build/wine.made || $(<"$build/wine.made") != "$("$WINELOADER" --version 2>/dev/null)" || ! -d .build/shim ]]; then
    trap wine_stop EXIT
    wine_up
    exec 8>&-
    wine_stop
    trap - EXIT
    "$WINELOADER" --version >"$build/wine.made"
  else
    wine_shim
  fi
  exec 7>&-
  ;;
esac
root=$PWD # without symbolic links: down looks for what up wrote
cd "$here"
exec "$root/$build/cluster" --root "$root" "$@"
