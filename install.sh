#!/usr/bin/env bash
# Installs lxc-autoscale on a Proxmox VE node, or updates it.
#
#   curl -fsSL --proto-redir =https URL/install.sh | bash
#   curl -fsSL --proto-redir =https URL/install.sh | bash -s -- --yes
#   ./install.sh                     in a checkout (after npm run release) or in an unpacked release
#
# Options:
#   --from DIR|FILE|URL   what to install: a checkout, an unpacked release, a tar.gz with its
#                         .sha256 beside it, or the address of one of these two or of a release
#   --yes                 ask nothing; existing configurations stay, a first installation observes
#   --overwrite-config    put the default configuration in place of yours, of which a copy is kept
#   --observe             a new configuration decides and reports, and changes no container
#   --no-observe          a new configuration changes containers from the first day
#   --no-start            neither start nor restart the service, and leave its start at boot as is
#   --help
#
# Whatever goes wrong on the way, a version that runs goes on running. Run again, it updates; an
# update that does not come up is taken back.
# shellcheck disable=SC2317 # Some functions are called by name: from a trap, from a list.
set -euo pipefail

# Where the newest release lies; `tools/release.sh --url` fills it in.
RELEASE_URL=''
# The public SSH key that a release from there is signed with; `tools/release.sh --key` fills it in.
RELEASE_KEY=''

readonly LIB=/usr/local/lib/lxc_autoscale
readonly BIN=/usr/local/bin/lxc-autoscale
readonly SHARE=/usr/local/share
readonly SERVICE=lxc_autoscale.service
readonly UNIT=/etc/systemd/system/$SERVICE
readonly ETC=/etc/lxc_autoscale
readonly CONFIG=$ETC/lxc_autoscale.yaml
# Of all nodes of a cluster: it counts where a node has no file of its own.
readonly SHARED=/etc/pve/lxc_autoscale.yaml
readonly OLD_INI=$ETC/lxc_autoscale.conf
readonly STATE=/var/lib/lxc_autoscale
readonly TURN=/run/lxc_autoscale.install.lock

readonly LEAST_NODE=18.19
readonly NODE=/usr/bin/node
readonly EXIT_CONFIGURATION=78
# After a start the service has to stay up for so long.
readonly STEADY_SECONDS=5
readonly PROGRAM_KB=8192
readonly NODEJS_KB=262144

from=
assume_yes=
overwrite_config=
start=yes
observe=ask

# What was begun and has to be taken back if the rest fails; the newest stands last.
undo=()
# What was not there before this run.
made=()
new_files=
stamp=
has_config=
has_shared=
migrated=
previous=
old_unit=
was_active=

say() { printf '%s\n' "$*"; }
note() { printf 'Note: %s\n' "$*"; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

usage() {
  sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p}' "$0" 2>/dev/null ||
    say 'Options: --from DIR|FILE|URL, --yes, --overwrite-config, --observe, --no-observe,' \
      '--no-start, --help'
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --from)
        [[ -n ${2:-} ]] || fail '--from needs a directory, a file or an address'
        from=$2
        shift
        ;;
      --yes | -y) assume_yes=yes ;;
      --overwrite-config) overwrite_config=yes ;;
      --observe) observe=yes ;;
      --no-observe) observe=no ;;
      --no-start) start=no ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) fail "unknown option '$1'; --help lists them" ;;
    esac
    shift
  done
}

# --- Taking back ----------------------------------------------------------------------------------

# Runs at every end, also that by a signal.
on_exit() {
  local status=$? index
  trap '' INT TERM HUP
  trap - EXIT
  set +e
  if ((status != 0 && ${#undo[@]} > 0)); then
    printf 'install.sh: it failed; what was begun is taken back\n' >&2
    for ((index = ${#undo[@]} - 1; index >= 0; index--)); do
      "${undo[index]}"
    done
  fi
  [[ -z $new_files ]] || rm -rf "$new_files"
  rmdir "$LIB" "$ETC" "$STATE" 2>/dev/null
  exit "$status"
}

stay_undisturbed_after() {
  undo=()
}

# --- The machine ----------------------------------------------------------------------------------

check_machine() {
  local answer version architecture
  [[ $(id -u) == 0 ]] || fail 'this has to be run by root, as pct has; try it with sudo'
  answer=$(pveversion 2>/dev/null) ||
    fail 'this is no Proxmox VE node: there is no pveversion that answers'
  version=${answer#pve-manager/}
  case $version in
    7.* | 8.* | 9.*) ;;
    *) fail "Proxmox VE 7, 8 and 9 are supported; pveversion says: ${answer%%$'\n'*}" ;;
  esac
  architecture=$(dpkg --print-architecture)
  case $architecture in
    amd64 | arm64) ;;
    *) fail "amd64 and arm64 are supported, and this node is $architecture" ;;
  esac
  [[ -d /run/systemd/system ]] || fail 'systemd does not run here, so no service can be started'
  if dpkg-query --show --showformat='${db:Status-Status}' lxc-autoscale 2>/dev/null |
    grep -qx installed; then
    fail 'lxc-autoscale is installed here as a Debian package; update it with apt-get or dpkg'
  fi
  if [[ -e $BIN || -L $BIN ]] && [[ $(readlink "$BIN") != "$LIB"/* ]]; then
    fail "$BIN is something else; move it away first"
  fi
}

# One installation at a time. The lock goes with the process, however it ends.
take_turn() {
  exec 9>"$TURN"
  flock --nonblock 9 || fail 'another installation is at work; wait until it has ended'
}

# Of the nearest directory above that exists.
free_kb() {
  local place=$1
  while [[ ! -d $place ]]; do place=$(dirname "$place"); done
  df --output=avail -k "$place" | tail -n 1 | tr -d ' '
}

check_space() {
  local place kb
  for place in "$LIB" "$ETC" "$STATE"; do
    kb=$(free_kb "$place")
    ((kb >= PROGRAM_KB)) || fail "$place needs $((PROGRAM_KB / 1024)) MB, and $kb KB are free"
  done
  if ! node_is_fit; then
    kb=$(free_kb /usr)
    ((kb >= NODEJS_KB)) || fail "nodejs needs $((NODEJS_KB / 1024)) MB in /usr; $kb KB are free"
  fi
}

node_is_fit() {
  local version
  version=$("$NODE" --version 2>/dev/null) &&
    dpkg --compare-versions "${version#v}" ge "$LEAST_NODE"
}

node_candidate() {
  apt-cache policy nodejs 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

packages() {
  dpkg-query --show --showformat='${binary:Package}\n' | sort
}

# Debian's nodejs and what it depends on; nothing that is merely recommended, such as npm.
ensure_node() {
  local candidate before
  if node_is_fit; then return; fi
  candidate=$(node_candidate)
  if [[ -z $candidate ]]; then
    # Without a subscription the enterprise repository refuses, which hinders none of the others.
    apt-get update --quiet=2 9>&- || note 'not all package lists could be read'
    candidate=$(node_candidate)
  fi
  [[ -n $candidate ]] || fail "Node $LEAST_NODE or later is needed, and apt knows no nodejs;" \
    'look at your package sources and the network'
  dpkg --compare-versions "$candidate" ge "$LEAST_NODE" ||
    fail "Node $LEAST_NODE or later is needed, and your distribution has $candidate: upgrade to" \
      'Proxmox VE 8 or 9, or install a newer nodejs package by yourself and run this again'
  say "Installing nodejs $candidate ..."
  before=$(packages)
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --quiet=2 \
    nodejs 9>&- >/dev/null || fail 'apt-get could not install nodejs; what it says stands above'
  node_is_fit || fail "nodejs was installed, but $NODE is still older than $LEAST_NODE or missing"
  # For uninstall.sh, which names them.
  comm -13 <(echo "$before") <(packages) >>"$LIB/added-packages"
}

# --- What is to be installed ----------------------------------------------------------------------

# What is asked for by https comes by https to the end: redirects lead to nothing else.
download() {
  local address=$1 file=$2 attempt
  for attempt in 1 2 3; do
    if command -v curl >/dev/null; then
      curl_to "$file" "$address" && return
    else
      wget_to "$file" "$address" && return
    fi
    ((attempt == 3)) || sleep "$attempt"
  done
  fail "$address could not be downloaded"
}

curl_to() {
  local only='=http,https'
  if [[ $2 == https://* ]]; then only='=https'; fi
  curl --fail --silent --show-error --location --proto "$only" --proto-redir "$only" \
    --connect-timeout 10 --max-time 300 --output "$1" "$2"
}

# wget would follow any redirect: they are followed one by one here.
wget_to() {
  local file=$1 address=$2 said
  for _ in 1 2 3 4 5; do
    said=$(LC_ALL=C wget --no-verbose --server-response --max-redirect=0 --timeout=10 --tries=1 \
      --output-document="$file" "$address" 2>&1) && return
    said=$(awk 'tolower($1) == "location:" { print $2; exit }' <<<"$said")
    if [[ $said == /* ]]; then said=$(grep -oE '^https?://[^/]+' <<<"$address")$said; fi
    case $address,$said in
      https://*,https://* | http://*,http://* | http://*,https://*) address=$said ;;
      *) return 1 ;;
    esac
  done
  return 1
}

# The first word of FILE.sha256 is what sha256sum has to say of FILE.
verify() {
  local file=$1 expected actual
  expected=$(awk 'NR == 1 { print $1 }' "$file.sha256")
  [[ $expected =~ ^[0-9a-f]{64}$ ]] || fail 'what came as checksum is none'
  actual=$(sha256sum "$file" | cut -d ' ' -f 1)
  [[ $actual == "$expected" ]] || fail "the checksum of the download is wrong: $actual instead of" \
    "$expected; try again, and if that does not help, tell whoever runs the server"
}

unpack() {
  # No name in it leads out of the directory: tar refuses those.
  tar --extract --gzip --file "$1" --directory "$new_files/files" --strip-components=1 \
    --no-same-owner || fail 'the release could not be unpacked'
}

# What the release says of its files, if it is signed by the key that this script has.
verify_signed() {
  local base=$1 name=$2 sums=$new_files/SHA256SUMS
  if [[ -z $RELEASE_KEY ]]; then return; fi
  download "$base/SHA256SUMS" "$sums"
  download "$base/SHA256SUMS.sig" "$sums.sig"
  printf 'lxc-autoscale %s\n' "$RELEASE_KEY" >"$new_files/signers"
  ssh-keygen -Y verify -f "$new_files/signers" -I lxc-autoscale -n lxc-autoscale -s "$sums.sig" \
    <"$sums" >/dev/null 2>&1 ||
    fail "the signature of $base/SHA256SUMS is wrong or cannot be checked; nothing was changed." \
      'Tell whoever runs the server'
  awk -v name="$name" '$2 == name' "$sums" | cmp --silent - <(awk '{ print $1 "  " $2 }' \
    "$new_files/release.tar.gz.sha256") ||
    fail "the signed SHA256SUMS does not have this $name; nothing was changed"
}

fetch_url() {
  local address=$1 archive=$new_files/release.tar.gz name
  if [[ $address == *.tar.gz ]]; then
    download "$address.sha256" "$archive.sha256"
  else
    download "${address%/}/lxc-autoscale.sha256" "$archive.sha256"
    name=$(awk 'NR == 1 { print $2 }' "$archive.sha256")
    [[ $name =~ ^lxc-autoscale-[0-9A-Za-z.+~-]+\.tar\.gz$ ]] || fail "$address holds no release"
    address=${address%/}/$name
  fi
  verify_signed "${address%/*}" "${address##*/}"
  say "Downloading $address ..."
  download "$address" "$archive"
  verify "$archive"
  unpack "$archive"
}

fetch_file() {
  local archive=$new_files/release.tar.gz
  [[ -e $1.sha256 ]] || fail "there is no checksum $1.sha256"
  cp "$1" "$archive"
  cp "$1.sha256" "$archive.sha256"
  verify "$archive"
  unpack "$archive"
}

fetch_directory() {
  local directory=$1
  if [[ -e $directory/lxc-autoscale.cjs ]]; then
    cp -R "$directory/." "$new_files/files"
  elif [[ -e $directory/tools/release.sh ]]; then
    for file in lxc-autoscale{,-more,-lab,-http,-cron}.cjs lxc-autoscale-web.html; do
      [[ -e $directory/dist/$file ]] ||
        fail "$directory is a checkout that is not built yet: npm ci && npm run release"
    done
    bash "$directory/tools/release.sh" --lay-out "$new_files/files"
  else
    fail "$directory is neither a checkout nor an unpacked release"
  fi
}

# Where this script lies, if it is a file beside what it can install.
own_directory() {
  local file=${BASH_SOURCE[0]:-} directory
  if [[ ! -f $file ]]; then return; fi
  directory=$(cd "$(dirname "$file")" && pwd)
  if [[ -e $directory/lxc-autoscale.cjs || -e $directory/tools/release.sh ]]; then
    echo "$directory"
  fi
}

# Before anything is installed or asked.
find_source() {
  if [[ -z $from ]]; then from=$(own_directory); fi
  if [[ -z $from ]]; then from=$RELEASE_URL; fi
  [[ -n $from ]] || fail 'this install.sh has no download address built in. Use the one from a' \
    'release page, or: --from ./lxc-autoscale-VERSION.tar.gz (or a URL). Nothing was changed.'
}

# Beside the place that it will have, so that a rename brings it there.
fetch() {
  # What an interrupted run has left; none is at work now.
  rm -rf "$LIB"/.new.*
  new_files=$(mktemp -d "$LIB/.new.XXXXXX")
  mkdir "$new_files/files"
  case $from in
    http://* | https://*) fetch_url "$from" ;;
    *)
      if [[ -d $from ]]; then fetch_directory "$from"; else
        [[ -f $from ]] || fail "there is no $from"
        fetch_file "$from"
      fi
      ;;
  esac
}

# Runs the program that is about to be installed.
new_program() {
  LXC_AUTOSCALE_NODE=$NODE "$new_files/files/lxc-autoscale" "$@"
}

check_release() {
  local said
  for file in lxc-autoscale lxc-autoscale{,-more,-lab,-http,-cron}.cjs lxc-autoscale-web.html \
    lxc_autoscale.{service,yaml} uninstall.sh VERSION; do
    [[ -s $new_files/files/$file ]] || fail "the release is not whole: it lacks $file"
  done
  chown -R 0:0 "$new_files/files"
  chmod -R u=rwX,go=rX "$new_files/files"
  version=$(<"$new_files/files/VERSION")
  [[ $version =~ ^[0-9][0-9A-Za-z.+~-]*$ ]] || fail 'the release has no version'
  said=$(new_program --version) || fail 'the program of the release does not run on this node'
  [[ $said == "lxc-autoscale $version" ]] || fail "the release $version calls itself: $said"
}

# --- Questions ------------------------------------------------------------------------------------

# The answer to a question with two answers, the default one first; that one where nobody can be
# asked. Under a pipe the script itself is what comes in, so the terminal is asked for by its name.
ask() {
  local question=$1 usual=$2 other=$3 answer=
  if [[ -n $assume_yes ]] || ! { : </dev/tty >/dev/tty; } 2>/dev/null; then
    echo "$usual"
    return
  fi
  printf '%s [%s/%s] ' "$question" "${usual^}" "$other" >/dev/tty
  IFS= read -r answer </dev/tty || true
  case ${answer,,} in
    "$other" | "${other:0:1}") echo "$other" ;;
    *) echo "$usual" ;;
  esac
}

ask_questions() {
  if [[ -n $has_config && -z $overwrite_config ]]; then
    if [[ $(ask "Keep your configuration $CONFIG?" keep overwrite) == overwrite ]]; then
      overwrite_config=yes
    fi
  fi
  if is_to_be_written; then ask_whether_to_observe; fi
}

# Whether this node gets a new configuration of its own.
is_to_be_written() {
  [[ -n $overwrite_config || (-z $has_config && -z $has_shared) ]]
}

ask_whether_to_observe() {
  [[ $observe == ask ]] || return 0
  observe=$(ask 'Only observe at first: decide and report, and change no container?' yes no)
}

# --- Configuration --------------------------------------------------------------------------------

# A copy that carries the time, with the permissions of the original.
back_up() {
  cp -p "$1" "$1.$stamp.backup"
  chmod o-rwx "$1.$stamp.backup"
  say "Kept a copy of $1: $1.$stamp.backup"
}

# Whoever may read the file may not need to read the secrets in it.
guard_secrets() {
  local key="[a-z_]*(token|tokens|password|secret)[\"']?:[[:space:]]*"
  # Taken out first, since a line may have several: an empty one, or one that a variable holds.
  local harmless="(''|\"\"|\[\]|[\"']?\\\$\{[A-Za-z0-9_]+\}[\"']?)"
  chmod o-rwx "$CONFIG"
  if sed -E -e '/^[[:space:]]*#/d' -e "s/$key$harmless([[:space:],}]|$)/ /g" "$CONFIG" |
    grep -E "(^|[[:space:]{,\"'-])${key}[^[:space:]#]" >/dev/null; then
    chmod 0600 "$CONFIG"
  fi
}

take_config_back() {
  if [[ -n $has_config ]]; then
    cp -p "$CONFIG.$stamp.backup" "$CONFIG.undo" && mv -f "$CONFIG.undo" "$CONFIG"
  else
    rm -f "$CONFIG"
  fi
}

# A new configuration as it is put into force: where that is wanted, all sections only observe.
text_of() {
  if [[ $observe != yes ]]; then
    cat "$1"
    return
  fi
  sed -e 's/^  scaling_mode:/  # when active: scaling_mode:/' -e '/^DEFAULT:$/a\
  # Observe mode: nothing is changed. To switch on: lxc-autoscale activate\
  scaling_mode: observe' "$1"
}

write_config() {
  local text=$1
  printf '%s\n' "$text" >"$CONFIG.new"
  chmod 0640 "$CONFIG.new"
  if [[ -n $has_config ]]; then back_up "$CONFIG"; fi
  undo+=(take_config_back)
  mv -f "$CONFIG.new" "$CONFIG"
}

# Brings the configuration of an earlier program to today's form, and says what became of each line.
# Fails where it cannot; nothing has changed then.
migrate_configuration() {
  local old=$1 status=0
  say "$old is of an earlier program. What becomes of it:"
  new_program migrate-config "$old" --out "$new_files/migrated.yaml" >"$new_files/report" ||
    status=$?
  sed -e '/^Written: /d' -e 's/^/  /' "$new_files/report"
  ((status == 0)) || return 1
  ask_whether_to_observe
  write_config "$(text_of "$new_files/migrated.yaml")"
  migrated=yes
  say "Carried over to $CONFIG"
}

# What the program itself would say to it, in the file check.
config_fits() {
  local status=0
  new_program check-config >"$new_files/check" 2>&1 || status=$?
  if ((status == EXIT_CONFIGURATION)); then return 1; fi
  ((status == 0)) || fail "check-config ended with $status: $(head -n 5 "$new_files/check")"
}

# Before the first installation a configuration is an earlier program's; later it is what it says.
is_of_earlier_program() {
  [[ -z $previous ]] || grep -qF migrate-config "$new_files/check"
}

place_configuration() {
  mkdir -p "$ETC" "$STATE"
  chmod 0750 "$ETC"
  chmod 0700 "$STATE"
  if [[ -z $overwrite_config && -e $OLD_INI ]] && is_to_be_written; then
    migrate_configuration "$OLD_INI" ||
      fail "correct what is said above, or begin anew with --overwrite-config; $OLD_INI stays"
  elif is_to_be_written; then
    write_config "$(text_of "$new_files/files/lxc_autoscale.yaml")"
  fi
  if ! config_fits && [[ -n $has_config && -z $overwrite_config ]] && is_of_earlier_program; then
    migrate_configuration "$CONFIG" || fail 'correct what is said above, or replace the' \
      'configuration with --overwrite-config; nothing was changed'
  fi
  config_fits || misfit
  if [[ $observe == yes && -z $migrated && -n $has_config && -z $overwrite_config ]]; then
    note '--observe is for a new configuration; yours stays as it is'
  fi
  if uses_shared; then
    say "The configuration is $SHARED, which all nodes of the cluster share."
  else
    guard_secrets
  fi
}

uses_shared() {
  [[ -n $has_shared && -z $overwrite_config ]]
}

counting_file() {
  if uses_shared; then echo "$SHARED"; else echo "$CONFIG"; fi
}

misfit() {
  say "$(counting_file) does not fit this version as it is:"
  head -n 20 "$new_files/check"
  fail 'correct what is said above, or replace the configuration with --overwrite-config;' \
    'nothing was changed'
}

# --- Bringing it into force -----------------------------------------------------------------------

# A Python daemon of the same name, whose place this one takes.
keep_other_daemon() {
  if [[ -n $old_unit ]] && ! grep -qF "$LIB/current/" <<<"$old_unit"; then
    say "There is another $SERVICE. This one takes its place and goes on with its JSON log."
    printf '%s\n' "$old_unit" >"$ETC/$SERVICE.$stamp.backup"
    say "Kept a copy of its unit: $ETC/$SERVICE.$stamp.backup"
    if [[ -n $has_config && ! -e $CONFIG.$stamp.backup ]]; then back_up "$CONFIG"; fi
  fi
}

# The directory of this build: that of its version, or one beside it if that is another build.
place_files() {
  local number=1 target=$LIB/$version
  while [[ -e $target ]] && ! diff -rq "$new_files/files" "$target" >/dev/null 2>&1; do
    number=$((number + 1))
    target=$LIB/$version.$number
  done
  if [[ ! -e $target ]]; then
    sync --file-system "$new_files/files"
    mv -T "$new_files/files" "$target"
  else
    rm -rf "$new_files/files"
  fi
  installed=${target##*/}
}

point_current_to() {
  ln -sfn "$1" "$LIB/.current"
  mv -fT "$LIB/.current" "$LIB/current"
}

# A file of somebody else is left alone.
link_from() {
  local place=$1 target=$2
  if [[ $(readlink "$place") == "$target" || -e $place ]]; then return; fi
  mkdir -p "$(dirname "$place")"
  made+=("$place")
  ln -sfn "$target" "$place"
}

write_unit() {
  printf '%s\n' "$1" >"$UNIT.new"
  chmod 0644 "$UNIT.new"
  mv -f "$UNIT.new" "$UNIT"
}

switch_over() {
  undo+=(switch_back)
  point_current_to "$installed"
  link_from "$BIN" "$LIB/current/lxc-autoscale"
  link_from "$SHARE/man/man1/lxc-autoscale.1" "$LIB/current/lxc-autoscale.1"
  link_from "$SHARE/bash-completion/completions/lxc-autoscale" \
    "$LIB/current/completions/lxc-autoscale.bash"
  link_from "$SHARE/zsh/site-functions/_lxc-autoscale" "$LIB/current/completions/_lxc-autoscale"
  write_unit "$(<"$LIB/current/lxc_autoscale.service")"
  systemctl daemon-reload
}

switch_back() {
  local place
  if [[ -n $previous ]]; then point_current_to "$previous"; else rm -f "$LIB/current"; fi
  if [[ -n $old_unit ]]; then
    write_unit "$old_unit"
    systemctl daemon-reload
  else
    systemctl disable --quiet --now "$SERVICE" 2>/dev/null
    rm -f "$UNIT"
    systemctl daemon-reload
  fi
  rm -f "${made[@]}"
  # Those that are empty now may have been made for them.
  for place in man/man1 bash-completion/completions bash-completion zsh/site-functions zsh; do
    rmdir "$SHARE/$place" 2>/dev/null
  done
  if [[ $installed != "$previous" ]]; then rm -rf "${LIB:?}/$installed"; fi
}

restart_old() {
  if [[ -z $was_active ]]; then return; fi
  systemctl reset-failed "$SERVICE" 2>/dev/null
  if systemctl restart "$SERVICE"; then
    printf 'install.sh: the version before runs again\n' >&2
  else
    printf 'install.sh: the version before does not start either; see: journalctl -u %s\n' \
      "$SERVICE" >&2
  fi
}

main_pid() {
  systemctl show --property=MainPID --value "$SERVICE"
}

# Ready is who has finished a first cycle; systemctl waits for that.
start_service() {
  local pid second
  # Taken back in the reverse order, so that the old files are in place when the old one starts.
  undo=(restart_old "${undo[@]}")
  systemctl enable --quiet "$SERVICE"
  say "Starting $SERVICE, which is ready after its first cycle ..."
  systemctl reset-failed "$SERVICE" 2>/dev/null || true
  systemctl restart "$SERVICE" || unhealthy
  pid=$(main_pid)
  for ((second = 0; second < STEADY_SECONDS; second++)); do
    sleep 1
    systemctl --quiet is-active "$SERVICE" || unhealthy
    [[ $(main_pid) == "$pid" ]] || unhealthy
  done
}

unhealthy() {
  journalctl --unit="$SERVICE" --lines=10 --output=cat --no-pager >&2 2>/dev/null || true
  fail "version $version did not come up; its last words stand above"
}

# Keeps this version and the one before it.
remove_older_versions() {
  local directory
  if [[ $installed == "$previous" ]]; then return; fi
  for directory in "$LIB"/[0-9]*; do
    case ${directory##*/} in
      "$installed" | "$previous") ;;
      *) rm -rf "$directory" ;;
    esac
  done
}

tell_the_end() {
  say ''
  if [[ $start == no ]]; then
    say "lxc-autoscale $version is installed and was not started:" \
      "systemctl enable --now $SERVICE"
  else
    say "lxc-autoscale $version is installed and running."
  fi
  if grep -qE '^  scaling_mode:[[:space:]]*observe' "$(counting_file)"; then
    # The service is ready after its first cycle, so this knows memory, and when CPU follows.
    "$BIN" status --wide 2>/dev/null | grep '^OBSERVE' ||
      say 'Observe mode: nothing is changed yet.'
    say 'See what it would do: lxc-autoscale status'
    say 'To switch on: lxc-autoscale activate (or for one container: lxc-autoscale activate ID)'
  fi
  say "  lxc-autoscale check-config    what each container gets"
  say "  $(counting_file)"
  say "  journalctl -u lxc_autoscale, /var/log/lxc_autoscale.log"
  say "  $LIB/current/uninstall.sh    removes it again"
}

main() {
  read_arguments "$@"
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  umask 022
  stamp=$(date +%Y%m%d-%H%M%S)
  trap on_exit EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  find_source
  check_machine
  take_turn
  if [[ -e $CONFIG ]]; then
    has_config=yes
  elif timeout --signal=KILL 5 test -e "$SHARED"; then
    has_shared=yes
  fi
  if [[ -L $LIB/current ]]; then previous=$(readlink "$LIB/current"); fi
  if [[ -e $UNIT ]]; then old_unit=$(<"$UNIT"); fi
  if systemctl --quiet is-active "$SERVICE"; then was_active=yes; fi
  check_space
  mkdir -p "$LIB"
  ensure_node
  fetch
  check_release
  ask_questions
  place_configuration
  keep_other_daemon
  place_files
  switch_over
  if [[ $start == yes ]]; then start_service; fi
  stay_undisturbed_after
  remove_older_versions
  tell_the_end
}

# The end of the file has come when this line is read, so that a part of it does nothing. What asks
# for input finds none: under a pipe it would get this script.
main "$@" </dev/null
exit 0
