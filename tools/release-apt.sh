#!/usr/bin/env bash
# Makes a signed apt repository of a release: a directory that any web server can serve.
#
#   tools/release-apt.sh --gpg-key ID [--from DIR] [--out DIR]
#
# --from has the .deb (default dist/release), --out gets the repository (default dist/apt).
# On a node:
#   curl -fsSL --proto-redir =https URL/lxc-autoscale.asc \
#     -o /etc/apt/keyrings/lxc-autoscale.asc
#   echo 'deb [signed-by=/etc/apt/keyrings/lxc-autoscale.asc] URL ./' \
#     >/etc/apt/sources.list.d/lxc-autoscale.list
#   apt update && apt install lxc-autoscale
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022
export LC_ALL=C.UTF-8 TZ=UTC

from=dist/release
out=dist/apt
key=

fail() {
  echo "release:apt: $*" >&2
  exit 1
}

while (($# > 0)); do
  [[ -n ${2:-} ]] || fail "$1 needs a value"
  case $1 in
    --from) from=$2 ;;
    --out) out=$2 ;;
    --gpg-key) key=$2 ;;
    *) fail "unknown argument '$1'; see the first lines of this file" ;;
  esac
  shift 2
done
[[ -n $key ]] || fail 'name the key that signs: --gpg-key ID; apt takes no unsigned repository'
packages=("$from"/*.deb)
[[ -e ${packages[0]} ]] || fail "there is no .deb in $from; run: npm run release"

# The entry of a package: what it says of itself, and what apt checks it by.
entry() {
  dpkg-deb --field "$1"
  echo "Filename: ./${1##*/}"
  echo "Size: $(stat -c %s "$1")"
  echo "SHA256: $(sha256sum "$1" | cut -d ' ' -f 1)"
  echo
}

mkdir -p "$out"
cp -- "${packages[@]}" "$out"
for package in "${packages[@]}"; do entry "$package"; done >"$out/Packages"
gzip -n -9 -k -f "$out/Packages"
{
  echo 'Origin: lxc-autoscale'
  echo 'Label: lxc-autoscale'
  echo 'Suite: stable'
  echo 'Architectures: all amd64 arm64'
  echo "Date: $(date -u -R)"
  echo 'SHA256:'
  for file in Packages Packages.gz; do
    echo " $(sha256sum "$out/$file" | cut -d ' ' -f 1) $(stat -c %s "$out/$file") $file"
  done
} >"$out/Release"
gpg --batch --yes --local-user "$key" --clearsign --output "$out/InRelease" "$out/Release"
gpg --batch --yes --local-user "$key" --armor --detach-sign --output "$out/Release.gpg" \
  "$out/Release"
gpg --batch --yes --armor --export "$key" >"$out/lxc-autoscale.asc"
(cd "$out" && ls -l)
