#!/usr/bin/env bash
# Makes what a release page has of what is built in dist/: a tar.gz, the same as one file to run, a
# Debian package, the two scripts, and SHA256SUMS with its signature.
#
#   tools/release.sh [--out DIR] [--url URL] [--key FILE]   in DIR (default dist/release)
#   tools/release.sh --lay-out DIR                          only the files of the tar.gz, in DIR
#
# --url is where the release will be, and --key an SSH key that signs it: install.sh is given the
# address and the public key, and refuses what is not signed by it. The same sources give the same
# bytes: times are those of SOURCE_DATE_EPOCH, or of the last commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022
export LC_ALL=C.UTF-8 TZ=UTC

readonly BUNDLES=(dist/lxc-autoscale{,-more,-lab,-http,-cron}.cjs dist/lxc-autoscale-web.html)
readonly DOCS=dist/docs.mjs
readonly ONE_FILE=lxc-autoscale.run
out=dist/release
url=
key=
public_key=
lay_out_only=
scratch=

fail() {
  echo "release: $*" >&2
  exit 1
}

# The value of a field of package.json that stands on a line of its own.
package_field() {
  sed -n "s/^  \"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" package.json
}

# The files of the release, with their permissions.
lay_out() {
  local to=$1
  mkdir -p "$to/examples" "$to/docs/images" "$to/grafana"
  install -m 0644 "${BUNDLES[@]}" systemd/lxc_autoscale.service lxc_autoscale.yaml README.md \
    CHANGELOG.md SECURITY.md LICENSE "$to"
  install -m 0644 examples/*.yaml "$to/examples"
  install -m 0644 docs/*.md docs/openapi.json "$to/docs"
  install -m 0644 docs/images/* "$to/docs/images"
  install -m 0644 grafana/* "$to/grafana"
  install -m 0755 systemd/lxc-autoscale uninstall.sh "$to"
  sed -e "s|^RELEASE_URL=.*|RELEASE_URL='$url'|" -e "s|^RELEASE_KEY=.*|RELEASE_KEY='$public_key'|" \
    install.sh >"$to/install.sh"
  chmod 0755 "$to/install.sh"
  echo "$version" >"$to/VERSION"
  # The manual page, the completions, the JSON Schema, the licences of others and the parts list.
  node "$DOCS" "$to"
  find "$to" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

tarball() {
  local name=$1
  tar --create --directory "$scratch" --sort=name --format=gnu --owner=0 --group=0 \
    --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip -n -9 >"$out/$name.tar.gz"
  # The name without its version tells install.sh which version is the newest.
  (cd "$out" && sha256sum "$name.tar.gz" | tee lxc-autoscale.sha256 >"$name.tar.gz.sha256")
}

# A script with the tar.gz behind its last line.
one_file() {
  local archive=$out/$1.tar.gz sum
  sum=$(sha256sum "$archive" | cut -d ' ' -f 1)
  sed -e "s|@VERSION@|$version|" -e "s|@SHA256@|$sum|" tools/release-head.sh >"$out/$ONE_FILE"
  cat "$archive" >>"$out/$ONE_FILE"
  chmod 0755 "$out/$ONE_FILE"
}

checksums() {
  (cd "$out" && rm -f SHA256SUMS SHA256SUMS.sig && sha256sum -- lxc-autoscale* *.sh >SHA256SUMS)
  [[ -z $key ]] || ssh-keygen -q -Y sign -f "$key" -n lxc-autoscale "$out/SHA256SUMS"
}

debian_package() {
  local from=$1 root=$scratch/deb file
  local lib=$root/usr/lib/lxc_autoscale doc=$root/usr/share/doc/lxc-autoscale
  # Where install.sh puts things, and where they are in the package.
  local places='s|/usr/local/lib/lxc_autoscale/current|/usr/lib/lxc_autoscale|'
  mkdir -p "$root"/{DEBIAN,usr/bin,usr/lib/systemd/system,etc/lxc_autoscale} "$lib" \
    "$doc"/{examples,docs/images,grafana} \
    "$root"/usr/share/{man/man1,bash-completion/completions,zsh/vendor-completions}
  install -m 0644 "${BUNDLES[@]/#dist/$from}" "$from/lxc_autoscale.schema.json" \
    "$from/VERSION" "$lib"
  install -m 0755 "$from/lxc-autoscale" "$lib"
  ln -s ../lib/lxc_autoscale/lxc-autoscale "$root/usr/bin/lxc-autoscale"
  sed "$places" "$from/lxc_autoscale.service" >"$root/usr/lib/systemd/system/lxc_autoscale.service"
  # A package cannot ask. It begins by observing, and the admin says when it may change something.
  sed -e "$places" -e 's/^  scaling_mode:/  # when active: scaling_mode:/' -e '/^DEFAULT:$/a\
  # Observe mode: nothing is changed. To switch on: lxc-autoscale activate\
  scaling_mode: observe' "$from/lxc_autoscale.yaml" >"$root/etc/lxc_autoscale/lxc_autoscale.yaml"
  chmod 0640 "$root/etc/lxc_autoscale/lxc_autoscale.yaml"
  for file in "$from/examples"/*.yaml; do
    sed "$places" "$file" >"$doc/examples/${file##*/}"
  done
  gzip -n -9 <"$from/lxc-autoscale.1" >"$root/usr/share/man/man1/lxc-autoscale.1.gz"
  gzip -n -9 <"$from/CHANGELOG.md" >"$doc/changelog.gz"
  install -m 0644 "$from/README.md" "$from/SECURITY.md" "$doc"
  install -m 0644 "$from/docs"/*.{md,json} "$doc/docs"
  install -m 0644 "$from/docs/images"/* "$doc/docs/images"
  install -m 0644 "$from/grafana"/* "$doc/grafana"
  cat "$from/LICENSE" <(echo) "$from/NOTICE" >"$doc/copyright"
  install -m 0644 "$from/lxc-autoscale.cdx.json" "$doc"
  install -m 0644 "$from/completions/lxc-autoscale.bash" \
    "$root/usr/share/bash-completion/completions/lxc-autoscale"
  install -m 0644 "$from/completions/_lxc-autoscale" "$root/usr/share/zsh/vendor-completions"
  echo /etc/lxc_autoscale/lxc_autoscale.yaml >"$root/DEBIAN/conffiles"
  control "$(du -k -s --apparent-size "$root" | cut -f1)" >"$root/DEBIAN/control"
  install -m 0755 tools/deb/{preinst,postinst,prerm,postrm} "$root/DEBIAN"
  find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz --build "$root" "$out/lxc-autoscale_${version}_all.deb" \
    >/dev/null
}

control() {
  cat <<EOF
Package: lxc-autoscale
Version: $version
Architecture: all
Maintainer: lxc-autoscale <noreply@lxc-autoscale.invalid>
Section: admin
Priority: optional
Depends: nodejs (>= 18.19)
Installed-Size: $1
Description: $description
 Every cycle it looks at each LXC container of a Proxmox VE node, gives it the CPU and
 memory that it needs, and takes back what it does not, within limits that you set.
EOF
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --out | --url | --key | --lay-out) [[ -n ${2:-} ]] || fail "$1 needs a value" ;;
      *) fail "unknown argument '$1'; see the first lines of this file" ;;
    esac
    case $1 in
      --out) out=$2 ;;
      --url) url=$2 ;;
      --key) key=$2 ;;
      --lay-out) lay_out_only=$2 ;;
    esac
    shift 2
  done
  if [[ -n $key ]]; then
    public_key=$(ssh-keygen -y -f "$key" | cut -d ' ' -f 1-2) || fail "$key is no SSH key"
  fi
  [[ $url != *[\'\|\\\&]* ]] || fail "the address '$url' has letters that no address has"
}

main() {
  local file
  read_arguments "$@"
  for file in "${BUNDLES[@]}" "$DOCS"; do
    [[ -e $file ]] || fail 'it is not built yet; run: npm ci && npm run release'
  done
  version=$(package_field version)
  description=$(package_field description)
  if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 946684800)
  fi
  export SOURCE_DATE_EPOCH
  if [[ -n $lay_out_only ]]; then
    lay_out "$lay_out_only"
    return
  fi
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$out"
  lay_out "$scratch/lxc-autoscale-$version"
  tarball "lxc-autoscale-$version"
  if command -v dpkg-deb >/dev/null; then
    debian_package "$scratch/lxc-autoscale-$version"
  else
    echo 'release: no Debian package, since there is no dpkg-deb here' >&2
  fi
  one_file "lxc-autoscale-$version"
  install -m 0755 "$scratch/lxc-autoscale-$version"/{,un}install.sh "$out"
  checksums
  (cd "$out" && ls -l -- lxc-autoscale* ./*.sh SHA256SUMS*)
}

main "$@"
