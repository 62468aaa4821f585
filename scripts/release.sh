#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# release.sh [--sign CERT.p12] [--timestamp URL] [VERSION]: makes the archives of a release
# in .build/release/VERSION: a zip for each of windows/amd64 and windows/arm64, an SBOM for
# each (CycloneDX) and SHA256SUMS. Publishes nothing. Installs what it lacks with apt-get
# and go, and leaves nothing running.
#
# VERSION is what git describe says: the tag, where there is one. It ends in -dirty where the
# working tree is not what is committed. The archives are built twice, in two directories, with
# two build caches that share nothing, and an error is a byte that differs. Anyone can make
# them again from the tag with the same zip.
#
# --sign signs the executables with osslsigncode (Authenticode), after the comparison. The
# certificate's password is in BULKHEAD_SIGN_PASSWORD. The signature has the commit's time, so
# it is the same each time, too. Give --timestamp, the URL of an RFC 3161 server, or Windows
# stops to trust the signature when the certificate expires.
#
# bulkhead-acl.exe is not in the archives: it is a copy of bulkhead.exe, which would double
# their size.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

root=$PWD arches=(amd64 arm64)
sign='' timestamp='' version=''
while (($#)); do
  case $1 in
    --sign) sign=$(realpath -e "${2:?--sign needs a file}") && shift 2 ;;
    --timestamp) timestamp=${2:?--timestamp needs a URL} && shift 2 ;;
    -h | --help) sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;;
    -*) echo "release: $1 is no flag; --help shows them" >&2 && exit 2 ;;
    *) version=$1 && shift ;;
  esac
done
dirty=$(git status --porcelain)
version=${version:-$(git describe --tags --always)${dirty:+-dirty}}
if [[ ! $version =~ ^[0-9A-Za-z][0-9A-Za-z.+_-]*$ ]]; then
  echo "release: \"$version\" is no version: letters, digits and . + _ - alone" >&2
  exit 2
fi
if [[ -n $timestamp && -z $sign ]]; then
  echo "release: --timestamp is for --sign" >&2
  exit 2
fi
[[ -z $dirty ]] || echo "release: the working tree is not what is committed: this is no release" >&2
[[ -z $sign ]] || : "${BULKHEAD_SIGN_PASSWORD?the password of --sign, may be empty}"

missing=()
command -v zip >/dev/null || missing+=(zip)
[[ -z $sign ]] || command -v osslsigncode >/dev/null || missing+=(osslsigncode)
if ((${#missing[@]})); then
  echo "release: installing ${missing[*]}"
  { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2
fi

# The compiler and its settings are the repository's, not the machine's.
unset GOAMD64 GOARM64 GOEXPERIMENT GOFIPS140 GODEBUG
export GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 TZ=UTC0 LC_ALL=C
GOTOOLCHAIN=go$(go list -m -f '{{.GoVersion}}')
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export GOTOOLCHAIN SOURCE_DATE_EPOCH
umask 022

sbom=$root/.build/bin/cyclonedx-gomod sbom_version=v1.10.0
if [[ $(go version -m "$sbom" 2>/dev/null) != *"cyclonedx-gomod	$sbom_version	"* ]]; then
  echo "release: installing cyclonedx-gomod $sbom_version"
  GOBIN=${sbom%/*} go install -trimpath "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$sbom_version"
fi

# notices prints the licences of Go and of the modules that the executable links.
notices() {
  local module dir file found
  echo "bulkhead.exe contains the Go standard library and the modules below, under these licences."
  printf '\n==== Go %s\n\n' "$(go env GOVERSION)"
  cat "$(go env GOROOT)/LICENSE"
  while read -r module dir; do
    found=
    for file in "$dir"/{LICEN[CS]E,COPYING,NOTICE,PATENTS}*; do
      [[ -f $file ]] || continue
      [[ ${file##*/} == NOTICE* ]] || found=1
      printf '\n==== %s, %s\n\n' "$module" "${file##*/}"
      tr -d '\r' <"$file"
    done
    if [[ -z $found ]]; then
      echo "release: $module has no licence" >&2
      return 1
    fi
  done < <(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./plugins/bulkhead | sort -u)
}

# documents copies the documents, which lie otherwise in the archive. Links to what is not
# in it lead to the repository.
documents() {
  local to=$1 web=https://github.com/bulkhead-cni/bulkhead/blob/$version
  sed -E -e 's#\]\((plugins/bulkhead|scripts)/#](#g' -e "s#\]\(((pkg|test)/)#]($web/\1#g" README.md >"$to/README.md"
  for name in REFERENCE ACL KUBE-PROXY MIGRATION TROUBLESHOOTING SECURITY SUPPORT; do
    sed -E -e 's#\]\(\.\./\.\./README#](README#g' -e "s#\]\(\.\./\.\./#]($web/#g" "plugins/bulkhead/$name.md" >"$to/$name.md"
  done
  cp plugins/bulkhead/conf/*.conflist plugins/bulkhead/conf/*.template "$to/conf/"
  sed -e 's#](../../../README#](../README#g' plugins/bulkhead/conf/README.md >"$to/conf/README.md"
  cp LICENSE scripts/daemonset.yaml scripts/install.ps1 "$to/"
}

# stage ARCH TO: the folder that becomes the archive.
stage() {
  local to=$2
  mkdir -p "$to/conf"
  export GOOS=windows GOARCH=$1
  go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$to/bulkhead.exe" ./plugins/bulkhead
  notices >"$to/NOTICES"
  documents "$to"
  find "$to" -type f ! -name '*.exe' -exec chmod 644 {} +
  chmod 755 "$to/bulkhead.exe"
}

# pack DIR: DIR.zip, with a fixed order, the commit's time and nobody's ids.
pack() {
  find "$1" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
  rm -f "$1.zip"
  (cd "${1%/*}" && find "${1##*/}" -type f | sort | zip -q -X -D -9 -@ "${1##*/}.zip")
}

# release TREE OUT: the archives of the sources in TREE.
release() {
  local arch name
  for arch in "${arches[@]}"; do
    name=bulkhead-$version-windows-$arch
    (cd "$1" && stage "$arch" "$2/$name")
    pack "$2/$name"
  done
}

# signed EXE: signs it in its place, and proves that the signature is of this file.
# Whether the certificate is trusted is for the machines where it will be.
signed() {
  local flags=(-pkcs12 "$sign" -h sha256 -n Bulkhead -time "$SOURCE_DATE_EPOCH") said
  [[ -z $timestamp ]] || flags+=(-ts "$timestamp")
  # Not as an argument: those are everyone's to read.
  osslsigncode sign "${flags[@]}" -readpass <(printf %s "$BULKHEAD_SIGN_PASSWORD") -in "$1" -out "$1.signed"
  mv "$1.signed" "$1"
  chmod 755 "$1"
  said=$(osslsigncode verify -in "$1" 2>&1 || true)
  if [[ $(sed -nE 's/^(Current|Calculated) message digest *: *//p' <<<"$said" | sort | uniq -c) != *" 2 "* ]]; then
    echo "release: the signature is not of ${1##*/}: $said" >&2
    return 1
  fi
  echo "release: signed ${1##*/} by $(sed -nE '0,/Subject: /s/.*Subject: *//p' <<<"$said"); trusted by this machine, osslsigncode verify says: ${said##*$'\n'}"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=$work/first second=$work/a/directory/elsewhere out=$root/.build/release/$version
mkdir -p "$first"/{tree,out} "$second"/{tree,out}
# Files, not a worktree of git: the trees know nothing of each other.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
  tar --create --file="$work/sources" --null --files-from=-
for tree in "$first" "$second"; do tar --extract --file="$work/sources" --directory="$tree/tree"; done

echo "release: building $version for windows on ${arches[*]} with $GOTOOLCHAIN"
release "$first/tree" "$first/out"
echo "release: building it again elsewhere"
# This cache is kept, and only second builds write to it: whatever comes from it was
# compiled apart from what the first build has.
GOCACHE=$root/.build/release-cache release "$second/tree" "$second/out"
for arch in "${arches[@]}"; do
  cmp "$first/out/bulkhead-$version-windows-$arch.zip" "$second/out/bulkhead-$version-windows-$arch.zip"
done
echo "release: both builds are equal, byte for byte"

rm -rf "$out" && mkdir -p "$out"
for arch in "${arches[@]}"; do
  name=bulkhead-$version-windows-$arch
  if [[ -n $sign ]]; then
    signed "$first/out/$name/bulkhead.exe"
    pack "$first/out/$name"
  fi
  GOOS=windows GOARCH=$arch "$sbom" bin -json -std -noserial -notimestamp -version "$version" -output "$out/$name.cdx.json" "$first/out/$name/bulkhead.exe"
  mv "$first/out/$name.zip" "$out/"
done
(cd "$out" && sha256sum -- *.zip *.cdx.json >SHA256SUMS)
echo "release: $out has"
sed 's/^/  /' "$out/SHA256SUMS"
