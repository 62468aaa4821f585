#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs Windows programs on Linux, with the emulator's DLLs in the place of HNS.
# Source it for wine_up, wine_run and wine_down, or run it:
#
#   wine.sh check             is everything installed?
#   wine.sh up                install, build, make the prefix and start it
#   wine.sh hold              up, print the environment of a program, and keep
#                             the prefix up until stdin is closed: test/wine
#   wine.sh run PROG [ARG...] up, then run a Windows program
#   wine.sh down              stop the prefix, unless someone else uses it
#
# The prefix is .build/wine, or $BULKHEAD_WINEPREFIX.
set -o errexit -o nounset -o pipefail

wine_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wine_cc=x86_64-w64-mingw32-gcc
wine_cflags=(-std=gnu11 -O2 -Wall -Wextra -Werror -shared -s)
# Seconds without a program after which the prefix stops by itself: nothing is
# left behind even by those who cannot call wine_down. A cold build on a busy machine
# takes many minutes, and a program that finds the prefix stopped cannot start it.
wine_linger=3600

wine_find() {
  local path
  for path in "$@"; do
    path=$(command -v "$path") && echo "$path" && return
  done
}

wine_setenv() {
  WINELOADER=$(wine_find /usr/lib/wine/wine64 wine64 wine || true)
  WINESERVER=$(wine_find /usr/lib/wine/wineserver64 wineserver || true)
  WINEPREFIX=${BULKHEAD_WINEPREFIX:-$wine_root/.build/wine}
  WINEARCH=win64
  WINEDEBUG=-all
  # "n": ours and no other; empty: no installers of Mono and Gecko, no menus.
  WINEDLLOVERRIDES='computenetwork,vmcompute,bcryptprimitives,combase=n;mscoree,mshtml,winemenubuilder.exe='
  LC_ALL=C.UTF-8 # arguments and variables outside ASCII
  # Wine maps a page at 0x7ffe0000 when a program starts. Linux puts the heap at
  # random into the gigabyte above 0x7d005000, so one start in 8000 finds that
  # page taken and ends without a word, with status 1.
  WINELAUNCHER=
  if setarch --addr-no-randomize true 2>/dev/null; then
    WINELAUNCHER='setarch --addr-no-randomize'
  fi
  export WINELOADER WINESERVER WINELAUNCHER WINEPREFIX WINEARCH WINEDEBUG WINEDLLOVERRIDES LC_ALL
  unset DISPLAY WAYLAND_DISPLAY
}

wine_missing() {
  [[ -n $WINELOADER && -n $WINESERVER ]] || echo wine64
  [[ -n $(wine_find "$wine_cc") ]] || echo gcc-mingw-w64-x86-64
}

wine_install() {
  local missing
  mapfile -t missing < <(wine_missing)
  ((${#missing[@]})) || return 0
  echo "wine.sh: installing ${missing[*]}" >&2
  { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
  wine_setenv
}

# wine_shim builds the DLLs when their sources, the compiler or the flags changed.
wine_shim() {
  local source=$wine_root/test/shim dir=$wine_root/.build/shim stamp dll
  stamp=$({ cat "$source"/*.[ch]; "$wine_cc" --version; echo "${wine_cflags[@]}"; } | sha256sum)
  [[ -f $dir/stamp && $(<"$dir/stamp") == "$stamp" ]] && return
  rm -rf "$dir" && mkdir -p "$dir"
  "$wine_cc" "${wine_cflags[@]}" -o "$dir/combase.dll" "$source/combase.c"
  for dll in computenetwork vmcompute; do
    "$wine_cc" "${wine_cflags[@]}" -o "$dir/$dll.dll" "$source/$dll.c" "$source/transport.c" "$dir/combase.dll" -lws2_32
  done
  "$wine_cc" "${wine_cflags[@]}" -o "$dir/bcryptprimitives.dll" "$source/bcryptprimitives.c" -ladvapi32
  echo "$stamp" >"$dir/stamp"
}

# wine_prefix makes the prefix, from nothing when an earlier attempt broke off
# or was of another version of Wine.
wine_prefix() {
  local stamp=$WINEPREFIX/bulkhead.stamp version dll system32
  version=$("$WINELOADER" --version)
  if [[ ! -f $stamp || $(<"$stamp") != "$version" ]]; then
    [[ ! -d $WINEPREFIX ]] || wine_stop
    rm -rf "$WINEPREFIX" && mkdir -p "$WINEPREFIX"
    wine_start wineboot.exe --init
    echo "$version" >"$stamp"
  fi
  system32=$WINEPREFIX/drive_c/windows/system32
  for dll in "$wine_root"/.build/shim/*.dll; do
    cmp --silent "$dll" "$system32/${dll##*/}" && continue
    cp "$dll" "$system32/${dll##*/}.new" && mv "$system32/${dll##*/}.new" "$system32/${dll##*/}"
  done
}

# wine_apart runs a program of Wine's without TMPDIR: Debian's wineserver has its
# socket there, so who has another TMPDIR would get another server.
wine_apart() { env -u TMPDIR "$@"; }

# wine_start starts the server if it does not run, and then a program: the first
# one starts what Windows starts at boot. These outlive us, so they must hold
# neither our output nor our locks, and they need Wine's own combase.dll.
wine_start() {
  wine_apart "$WINESERVER" "-p$wine_linger" </dev/null >"$WINEPREFIX.log" 2>&1 8>&- 9>&- || true # 2: it runs
  WINEDLLOVERRIDES="$WINEDLLOVERRIDES;combase=b" wine_apart $WINELAUNCHER "$WINELOADER" "$@" </dev/null >>"$WINEPREFIX.log" 2>&1 8>&- 9>&- && return
  echo "wine.sh: $* failed:" >&2
  cat "$WINEPREFIX.log" >&2
  return 1
}

wine_stop() {
  wine_apart "$WINESERVER" -k 8>&- 9>&- || true # 1: it does not run
  wine_apart "$WINESERVER" -w 8>&- 9>&-
}

# wine_up may be called by any number of processes at once. Lock 9 is held while
# the prefix changes, lock 8 as long as someone uses it.
wine_up() {
  wine_install
  mkdir -p "$(dirname "$WINEPREFIX")"
  exec 9>"$WINEPREFIX.lock" 8>"$WINEPREFIX.users"
  flock 9
  flock --shared 8
  wine_shim
  wine_prefix
  wine_start 'C:\windows\system32\cmd.exe' /c exit
  exec 9>&-
}

wine_run() { wine_apart $WINELAUNCHER "$WINELOADER" "$@" 8>&-; }

wine_down() {
  [[ -d $WINEPREFIX ]] || return 0
  exec 9>"$WINEPREFIX.lock" 8>"$WINEPREFIX.users"
  flock 9
  if flock --nonblock 8; then
    wine_stop
  else
    echo "wine.sh: others use $WINEPREFIX; it stays up" >&2
  fi
  exec 8>&- 9>&-
}

# wine_hold serves package test/wine. Its caller may end without having killed
# what it ran: the variable says whose they are.
wine_hold() {
  local caller=$PPID pid
  wine_up
  env | grep -E '^(WINE|LC_ALL)'
  exec >&-
  cat >/dev/null
  grep -lsz "^BULKHEAD_RUN=$caller-" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
    kill -KILL "$pid" 2>/dev/null || true # it may be gone already
  done
}

wine_main() {
  case ${1:-} in
    check) [[ -z $(wine_missing) ]] ;;
    up) wine_up ;;
    hold) wine_hold ;;
    run) wine_up; wine_run "${@:2}" ;;
    down) wine_down ;;
    *) sed -n '/^# Runs/,/^set/{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
}

wine_setenv
[[ ${BASH_SOURCE[0]} != "$0" ]] || wine_main "$@"
