#!/bin/sh
# lxc-autoscale @VERSION@ in one file. It needs Node 18.19 or later, except to install.
#
#   sh lxc-autoscale.run demo             a simulated node, one minute; this machine stays as it is
#   sh lxc-autoscale.run install [--yes]  as root on a Proxmox VE node; --help lists all options
#   sh lxc-autoscale.run extract DIR      only unpacks it
#   sh lxc-autoscale.run COMMAND ...      any command of the program
set -eu

main() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/lxc-autoscale.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # A child gets Ctrl-C as well and ends in order; this waits for it and then tidies up.
  trap : INT TERM HUP
  tail -n "+$(($(grep -an '^__RELEASE__$' "$0" | cut -d : -f 1) + 1))" "$0" >"$work/release.tar.gz"
  if ! echo "@SHA256@  $work/release.tar.gz" | sha256sum --check --status; then
    echo 'lxc-autoscale: this file is not whole; download it again. Nothing was changed.' >&2
    exit 1
  fi
  mkdir "$work/files"
  tar -xzf "$work/release.tar.gz" -C "$work/files" --strip-components=1 --no-same-owner
  code=0
  case ${1:-} in
    install)
      shift
      bash "$work/files/install.sh" "$@" || code=$?
      ;;
    extract)
      mkdir -p "${2:?extract needs a directory}"
      cp -R "$work/files/." "$2" || code=$?
      ;;
    *)
      LXC_AUTOSCALE_NODE=$(command -v node || echo /usr/bin/node)
      export LXC_AUTOSCALE_NODE
      "$work/files/lxc-autoscale" "$@" || code=$?
      ;;
  esac
  exit "$code"
}

main "$@"
exit 0
__RELEASE__
