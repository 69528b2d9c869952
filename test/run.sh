#!/usr/bin/env bash
# All checks and the tests, on a new machine too. The last line is `N passed, N failed, N skipped`.
#
#   npm test                 what needs only Node and npm, and tools that are here already
#   npm test -- --all        everything; as root it installs what is missing, and says so first
#   npm test -- test/core    these files; arguments go to vitest
#
# CI=true in the environment stands for --all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

all=
if [[ ${1:-} == --all ]]; then
  all=yes
  shift
elif (($# == 0)) && [[ ${CI:-} == true ]]; then
  all=yes
elif (($# == 0)); then
  # Read by test/only-with-all.ts.
  export NPM_TEST=plain
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Runs a step whose output is of interest only if it fails.
step() {
  local name=$1
  shift
  echo "== $name"
  if ! "$@" >"$scratch/output" 2>&1; then
    cat "$scratch/output"
    echo "== $name failed"
    echo '0 passed, 1 failed, 0 skipped'
    exit 1
  fi
}

# By package of Debian, each with the program that shows that it is there, and what it is for.
readonly TOOLS=(
  'jq|jq|reads the JSON log'
  'chromium|chromium|the page and the reports in a browser'
  'shellcheck|shellcheck|the scripts'
  'zsh|zsh|its completion'
  'openssh-server|sshd|nodes by SSH'
  'user-mode-linux|linux.uml|a real kernel'
  'debootstrap|debootstrap|the installer, in Debian trees'
  'systemd-container|systemd-nspawn|the same'
)

missing_tools() {
  local tool package program purpose
  for tool in "${TOOLS[@]}"; do
    IFS='|' read -r package program purpose <<<"$tool"
    command -v "$program" >/dev/null || echo "   $package: $purpose"
  done
}

tell_what_is_left_out() {
  [[ ${NPM_TEST:-} == plain ]] || return 0
  echo '== nothing but npm packages is installed; left out, and counted as skipped at the end:'
  echo '   Debian trees, a kernel, Prometheus and other versions of Node: npm test -- --all'
  missing_tools
}

# No service is started: a policy of 101 says so.
install_tools() {
  local missing package policy=/usr/sbin/policy-rc.d
  missing=$(missing_tools)
  echo '== fetched below node_modules: other versions of Node, Prometheus (200 MB)'
  echo '   fetched below /tmp, and removed: a Debian 12 and a Debian 13'
  [[ -n $missing ]] || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo '== not installed, as that takes root and apt; tests that need them are skipped:'
    echo "$missing"
    return
  fi
  echo '== installed with apt-get:'
  echo "$missing"
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -rf "$scratch" '"$policy" EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update >"$scratch/output" 2>&1 || tail -n 5 "$scratch/output"
  while IFS=' :' read -r package _; do
    apt-get install --yes --no-install-recommends "$package" >"$scratch/output" 2>&1 </dev/null ||
      { tail -n 5 "$scratch/output" && echo "$package could not be installed"; }
  done <<<"$missing"
}

# npm leaves this file after each complete installation.
installed=node_modules/.package-lock.json
if [[ ! -e $installed || package-lock.json -nt $installed ]]; then
  step 'install packages' npm ci --no-audit --no-fund --loglevel=error
fi

if [[ -n $all ]]; then install_tools; else tell_what_is_left_out; fi

step 'check types and style' npm run --silent check
step 'build' npm run --silent build
step 'make the documents' npm run --silent docs

status=0
totals=(0 0 0)

# Runs tests with the `node` in PATH, and adds what came of them to the totals.
run_tests() {
  local line=
  rm -f "$scratch/report"
  PLAIN_REPORT_FILE="$scratch/report" \
    node node_modules/vitest/vitest.mjs run "$@" 2>&1 || status=$?
  # Without a report it did not get as far as that.
  if [[ -s $scratch/report ]]; then
    line=$(tail -n 1 "$scratch/report")
    head -n -1 "$scratch/report" >>"$scratch/failures"
  fi
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    for index in 0 1 2; do ((totals[index] += BASH_REMATCH[index + 1])) || true; done
  else
    ((totals[1] += 1))
    status=1
  fi
}

echo '== run tests'
run_tests "$@"

# What rests on Node itself, once more on the other Node that Proxmox VE has. The tests of the
# bundle have put it there.
if (($# == 0)); then
  version=18.20.8
  [[ $(node --version) != v18.* ]] || version=20.19.6
  other=("node_modules/.cache/node-$version/node_modules/"node-linux-*/bin)
  if [[ -x ${other[0]}/node ]]; then
    echo "== run the tests of files, processes and sockets on Node $version"
    export PATH="$PWD/${other[0]}:$PATH"
    run_tests test/os test/store test/node/local test/e2e/process.test.ts \
      test/hostile/{links,modes,strangers}.test.ts test/crash/files.test.ts
  else
    echo "SKIPPED: the tests of files, processes and sockets on Node $version, which is not there"
    ((totals[2] += 1))
  fi
fi
# Once more at the end, where a reader of a long log looks first.
[[ ! -s $scratch/failures ]] || cat "$scratch/failures"
echo "${totals[0]} passed, ${totals[1]} failed, ${totals[2]} skipped"
exit "$status"
