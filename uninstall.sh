#!/usr/bin/env bash
# Removes lxc-autoscale as install.sh has installed it. Containers stay as they are.
#
#   /usr/local/lib/lxc_autoscale/current/uninstall.sh [OPTIONS]
#
#   --rollback   first give every container the cores, cpulimit and memory that an administrator
#                has set last; what was set since the last change stays, ignored containers too
#   --purge      remove the configuration, the logs, the state and the copies too
#   --yes        ask nothing
#   --help
set -euo pipefail

readonly LIB=/usr/local/lib/lxc_autoscale
readonly BIN=/usr/local/bin/lxc-autoscale
readonly SHARE=/usr/local/share
readonly SERVICE=lxc_autoscale.service
readonly UNIT=/etc/systemd/system/$SERVICE
readonly ETC=/etc/lxc_autoscale
readonly STATE=/var/lib/lxc_autoscale
readonly LOG=/var/log/lxc_autoscale
readonly GUESTS=/etc/pve
readonly LEDGERS=/etc/pve/priv/lxc_autoscale
readonly LOCK=/run/lock/lxc_autoscale.lock
readonly RUN=/run/lxc_autoscale
readonly TURN=/run/lxc_autoscale.install.lock

rollback=
purge=
assume_yes=

say() { printf '%s\n' "$*"; }

fail() {
  printf 'uninstall.sh: %s\n' "$*" >&2
  exit 1
}

read_arguments() {
  local word
  for word in "$@"; do
    case $word in
      --rollback) rollback=yes ;;
      --purge) purge=yes ;;
      --yes | -y) assume_yes=yes ;;
      --help | -h)
        sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
      *) fail "unknown option '$word'; --help lists them" ;;
    esac
  done
}

# With nobody to ask, plain removal goes on, and what cannot be brought back is not removed.
confirm() {
  local question='Remove lxc-autoscale?' answer=
  if [[ -n $purge ]]; then
    question='Remove lxc-autoscale with its configuration, logs and backups?'
  fi
  if [[ -n $assume_yes ]]; then return; fi
  if ! { : </dev/tty >/dev/tty; } 2>/dev/null; then
    [[ -z $purge ]] || fail '--purge without a terminal needs --yes'
    return
  fi
  printf '%s [y/N] ' "$question" >/dev/tty
  IFS= read -r answer </dev/tty || true
  [[ ${answer,,} == y || ${answer,,} == yes ]] || fail 'nothing was removed'
}

# What an administrator has set last; what was set since the last change stays.
roll_back() {
  [[ -x $BIN ]] || fail "there is no $BIN that could roll back; nothing was removed"
  say 'Rolling back every container that was changed ...'
  "$BIN" rollback --all --to own || cannot_roll_back
  # What is kept of further nodes lies below their names.
  local place node
  for place in "$STATE"/nodes/*/; do
    if [[ ! -d $place ]]; then continue; fi
    node=$(basename "$place")
    say "... on $node"
    "$BIN" rollback --all --to own --node "$node" || cannot_roll_back
  done
}

cannot_roll_back() {
  fail 'not every container could be rolled back. The service is stopped, nothing was removed;' \
    'see to what is said above and run this again, with or without --rollback'
}

# What a service that was killed in mid-change has left low: nobody would raise it any more.
release() {
  compgen -G "$STATE/memory-high/*" >/dev/null || return 0
  "$BIN" release ||
    say '  memory.high of containers named above, or in' "$STATE/memory-high," \
      'may be low still; a restart of the container puts it right'
}

# What write_notes has written, of the guests of this node.
notes() {
  grep -qsxF '#<!-- lxc-autoscale -->' "$GUESTS"/{lxc,qemu-server}/*.conf || return 0
  "$BIN" release --notes ||
    say '  The notes of guests named above still have a block of lxc-autoscale; edit them by hand'
}

# Links are ours where they lead to our directory.
remove_links() {
  local place
  for place in "$BIN" "$SHARE/man/man1/lxc-autoscale.1" \
    "$SHARE/bash-completion/completions/lxc-autoscale" \
    "$SHARE/zsh/site-functions/_lxc-autoscale"; do
    if [[ $(readlink "$place") == "$LIB"/* ]]; then rm -f "$place"; fi
  done
  # Those that are empty now may have been made for them.
  for place in man/man1 bash-completion/completions bash-completion zsh/site-functions zsh; do
    rmdir "$SHARE/$place" 2>/dev/null || true
  done
}

remove() {
  clones=$("$BIN" members 2>/dev/null | sed -n '2,$s/^/    /p') || true
  added=
  if [[ -e $LIB/added-packages ]]; then added=$(tr '\n' ' ' <"$LIB/added-packages"); fi
  if [[ -e $UNIT ]] && grep -qF "$LIB/current/" "$UNIT"; then
    rm -f "$UNIT"
    rm -rf "$UNIT.d"
  fi
  systemctl daemon-reload
  systemctl reset-failed "$SERVICE" 2>/dev/null || true
  remove_links
  rm -f "$TURN"
  rm -rf "$RUN" "$LOCK" "$LOCK.lock"
  rm -rf "$LIB"
  if [[ -n $purge ]]; then
    rm -rf "$ETC" "$STATE"
    rm -f "$LOG".log "$LOG".log.* "$LOG".json "$LOG".json.*
  fi
}

tell_what_is_left() {
  local place
  say 'lxc-autoscale is removed.'
  for place in "$ETC" "$STATE" "$LOG.log" "$LOG.json"; do
    if [[ -e $place ]]; then say "  left: $place"; fi
  done
  if [[ -n $clones ]]; then
    say '  left: clones of groups, which stay as they are and are no longer managed:'
    say "$clones"
  fi
  if [[ -e $LEDGERS ]]; then say "  left: $LEDGERS, which says whose clones they are"; fi
  if [[ -n $added ]]; then
    say "  left: packages that were installed for it: $added"
    say '  Where nothing else needs them: apt-get purge nodejs && apt-get autoremove'
  fi
}

main() {
  read_arguments "$@"
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  [[ $(id -u) == 0 ]] || fail 'this has to be run by root; try it with sudo'
  [[ -e $LIB || -L $BIN ]] ||
    fail "there is no $LIB: lxc-autoscale is not installed here, or as a Debian package;" \
      'that one is removed by: apt-get purge lxc-autoscale'
  exec 9>"$TURN"
  flock --nonblock 9 || fail 'an installation is at work; wait until it has ended'
  confirm
  if [[ -n $rollback ]]; then
    systemctl stop "$SERVICE" 2>/dev/null || true
    roll_back
  fi
  systemctl disable --quiet --now "$SERVICE" 2>/dev/null || true
  release
  notes
  remove
  tell_what_is_left
}

# All is read before anything is done, since this file is among what is removed.
main "$@"
exit 0
