#!/usr/bin/env bash
# All checks and all tests, on a new machine too. The last line is `N passed, N failed, N skipped`.
# Arguments go to vitest: `npm test -- test/core`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

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

# npm leaves this file after each complete installation.
installed=node_modules/.package-lock.json
if [[ ! -e $installed || package-lock.json -nt $installed ]]; then
  step 'install packages' npm ci --no-audit --no-fund --loglevel=error
fi

# One test reads the JSON log with jq, one looks at the report of a backtest in a browser, those in
# test/kernel ask a real kernel, and those of SSH start an sshd of their own. Without them these
# tests are skipped, which the end then says. No service is started: a policy of 101 says so.
declare -A programs=([user-mode-linux]=linux.uml [openssh-server]=sshd)
policy=/usr/sbin/policy-rc.d
for package in jq chromium user-mode-linux openssh-server; do
  command -v "${programs[$package]:-$package}" >/dev/null && continue
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || continue
  [[ $package != openssh-server || -e $policy ]] || {
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -rf "$scratch" "$policy"' EXIT
  }
  echo "== install $package"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install --yes --no-install-recommends "$package"; } \
    >"$scratch/output" 2>&1 ||
    { tail -n 5 "$scratch/output" && echo "$package could not be installed"; }
done

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
