/**
 * Rules of this program, each with one way to break it. `npm run test:mutants` breaks them one at a
 * time and runs the tests beside them: each rule must have a test that fails.
 */

export interface Mutant {
  /** What holds, and does not any more. */
  readonly rule: string;
  readonly file: string;
  /** Stands in the file once. */
  readonly from: string;
  readonly to: string;
  /** Files or folders. */
  readonly tests: readonly string[];
}

type Broken = readonly [rule: string, from: string, to: string];

const of = (file: string, tests: readonly string[], ...rules: readonly Broken[]): Mutant[] =>
  rules.map(([rule, from, to]) => ({
    rule,
    file: `src/${file}`,
    from,
    to,
    tests: tests.map((name) => `test/${name}`),
  }));

const OBSERVING: readonly Mutant[] = [
  ...of(
    'core/usage.ts',
    ['core/usage.test.ts'],
    [
      'a first sample gives no rate',
      'if (before === undefined) return missing(',
      'if (false) return missing(',
    ],
    ['a restarted guest gives no rate', 'if (before.identity !== now.identity) {', 'if (false) {'],
    ['two samples at once give no rate', 'if (elapsedMs < MIN_ELAPSED_MS) {', 'if (false) {'],
    [
      'a counter that went back gives no rate',
      'if (usedUs < 0 || throttledUs < 0) {',
      'if (false) {',
    ],
    [
      'more CPU than the host has is no rate',
      'if (measured > hostCpus * PLAUSIBLE_EXCESS) {',
      'if (false) {',
    ],
    [
      'a frozen guest gives no rate',
      'if (isFrozen(before) || isFrozen(now)) return',
      'if (false) return',
    ],
    ['memory that cannot be read is missing', 'if (!now.memory.ok) return now.memory;', ''],
  ),
  ...of(
    'loop/observe.ts',
    ['loop/observe.test.ts', 'loop/recognise.test.ts', 'app/migrations.test.ts'],
    ['a list that cannot be read is no empty list', 'if (!guests.ok) return guests;', ''],
    ['another guest of the same id begins anew', 'if (isOther) endLife(record, nowMs);', ''],
    [
      'a guest that one look misses is kept for a while',
      'if (!isGone && !isWithOthers',
      'if (!isWithOthers',
    ],
  ),
  ...of(
    'core/host-state.ts',
    ['core/host-state.test.ts'],
    [
      'the host is judged over more than a moment',
      'if (nowMs - before.atMs < MIN_ELAPSED_MS) return before;',
      '',
    ],
  ),
  ...of(
    'core/identity.ts',
    ['core/identity.test.ts'],
    [
      'an unknown guest is nobody',
      'if (one === undefined || other === undefined) return false;',
      '',
    ],
  ),
];

const DECIDING: readonly Mutant[] = [
  ...of(
    'core/guards.ts',
    ['core/guards.test.ts', 'core/policies'],
    [
      'no more than the maximum',
      'if (proposal.after <= most) return proposal;',
      'return proposal;',
    ],
    [
      'no less than the minimum',
      'if (proposal.after >= least) return proposal;',
      'return proposal;',
    ],
    ['memory that is needed has headroom', 'inUseMib + Math.max(64, inUseMib / 10)', 'inUseMib'],
  ),
  ...of(
    'core/arbitrate.ts',
    ['core/arbitrate.test.ts', 'core/decide.test.ts'],
    ['a change by hand holds', 'if (handLeftMs > 0) return held(', 'if (false) return held('],
    [
      'the latest reading may not ask for it again',
      'if (verdict.after >= after) return verdict;',
      'return verdict;',
    ],
    [
      'what flaps waits',
      'if (known === undefined || leftMs === 0) return verdict;',
      'return verdict;',
    ],
  ),
  ...of(
    'core/cooldown.ts',
    ['core/cooldown.test.ts'],
    [
      'a change waits for the cooldown',
      'if (leftMs > 0) return holding(step',
      'if (false) return holding(step',
    ],
  ),
  ...of(
    'core/day-seen.ts',
    ['core/day-seen.test.ts'],
    [
      'unproven memory waits for a whole day',
      'if (day === undefined || leftMs > 0) return held(',
      'if (day === undefined) return held(',
    ],
    [
      'an unproven step is a quarter at most',
      'Math.max(after, least, step)',
      'Math.max(after, least)',
    ],
    [
      'unproven memory keeps what the day used',
      'Math.max(after, least, step)',
      'Math.max(after, step)',
    ],
  ),
  ...of(
    'core/machine-guards.ts',
    ['core/machine-guards.test.ts'],
    [
      'a module goes only if the rest is enough',
      'if (measured.need > after) return held(',
      'if (false) return held(',
    ],
    [
      'what cannot be taken back is not given',
      'if (oneWay === undefined && verdict.after >= min) return verdict;',
      'return verdict;',
    ],
  ),
];

const PLANNING: readonly Mutant[] = [
  ...of(
    'core/admission.ts',
    ['core/admission.test.ts'],
    ['limits of VMs that are unknown give nothing', 'if (!vmMemoryMib.ok) return vmMemoryMib;', ''],
    ['memory that is unknown gives nothing', 'if (!free.ok) return {', 'if (false) return {'],
    [
      'what was promised is not given twice',
      '- policy.reserveMemoryMib - promised)',
      '- policy.reserveMemoryMib)',
    ],
    [
      'the reserve stays with the host',
      'availableMib(memory.value) - policy.reserveMemoryMib',
      'availableMib(memory.value)',
    ],
    [
      'what is given passes no ceiling by a byte',
      'Math.floor(most / MEMORY_QUANTUM_MIB)',
      'Math.ceil(most / MEMORY_QUANTUM_MIB)',
    ],
  ),
  ...of(
    'core/plan.ts',
    ['core/plan.test.ts'],
    [
      'a busy host gives no cores',
      'if (budget.coresRefused !== undefined) return',
      'if (false) return',
    ],
    [
      'a host under pressure gives no memory',
      'if (budget.memoryRefused !== undefined) return',
      'if (false) return',
    ],
    ['no more memory than there is', 'if (step <= leftMib) return change;', 'return change;'],
    [
      'a cycle has only so many changes',
      'if (changes.length >= MAX_CHANGES_PER_CYCLE) {',
      'if (false) {',
    ],
    [
      'what one gets the next has not',
      'leftMib -= admitted.memory.after - admitted.memory.measured.before;',
      '',
    ],
    [
      'who waits is kept for',
      'other.vmid !== vmid && other.priority > memory.priority',
      'other.vmid !== vmid',
    ],
  ),
  ...of(
    'core/pause.ts',
    ['core/pause.test.ts'],
    ['without quorum nothing is changed', 'if (!quorum.value) return', 'if (false) return'],
    [
      'a node of another program is left alone',
      'if (notOurs !== undefined) return',
      'if (false) return',
    ],
  ),
];

const ACTING: readonly Mutant[] = [
  ...of(
    'core/proof.ts',
    ['core/proof.test.ts'],
    [
      'a kill in the proof ends it',
      "if (ownLimit(before, after).kills > 0) return { kind: 'oom-kill', numbers };",
      '',
    ],
    [
      'what is still in use is not taken',
      "if (after.currentBytes > wanted) return { kind: 'still-in-use', numbers };",
      '',
    ],
    [
      'an unread guest may lose memory',
      'if (!sample.ok) return true;',
      'if (!sample.ok) return false;',
    ],
  ),
  ...of(
    'loop/executor.ts',
    ['loop/executor.test.ts', 'loop/change.test.ts', 'loop/act.test.ts'],
    [
      'what was decided on has changed',
      'if (file.value.config.digest !== decidedOn.digest) return OVERTAKEN;',
      '',
    ],
    ['no change without a backup', 'if (!backup.ok) {', 'if (false) {'],
    [
      'a guest that stopped is a failure',
      'if (!wasRunning || isRunning(world, guest.vmid)) return result;',
      'return result;',
    ],
    ['memory is proven before it is taken', 'if (!takes) return held();', 'return held();'],
    [
      'nothing is taken unseen without a day',
      'if (fromMib === undefined || dayPeakMib === undefined) return NEED_UNSEEN;',
      'return undefined;',
    ],
  ),
  ...of(
    'loop/act.ts',
    ['loop/act.test.ts', 'loop/cycle.test.ts'],
    ['nothing begins once it is to stop', 'context.stop.aborted || ', ''],
  ),
  ...of(
    'loop/restore.ts',
    ['loop/restore.test.ts'],
    ['a locked guest is not restored', 'if (now.lock !== undefined) {', 'if (false) {'],
  ),
  ...of(
    'app/node-lease.ts',
    ['app/node-lease.test.ts'],
    [
      'each change looks whose the node is',
      'if (message !== undefined) return { kind: ',
      'if (false) return { kind: ',
    ],
  ),
];

const GROUPS: readonly Mutant[] = [
  ...of(
    'core/groups/ledger.ts',
    ['core/groups'],
    [
      'a ledger of another group counts for nothing',
      'if (named !== group) return wrong(',
      'if (false) return wrong(',
    ],
    ['an unseen clone is known by its nonce', '? bearsNonce(guest, nonce) :', '? true :'],
  ),
  ...of(
    'core/groups/recognise.ts',
    ['core/groups'],
    [
      'an id alone makes no member',
      "if (!isEntryOf(entry, guest)) return stranger(entry, 'another container', draft);",
      '',
    ],
    [
      'a clone that others started is theirs',
      "if (entry.state === 'cloning' && running === true) return startedByOthers(entry, draft);",
      '',
    ],
  ),
  ...of(
    'core/groups/reconcile.ts',
    ['core/groups'],
    ['what is protected is not destroyed', 'if (guest.protection) {', 'if (false) {'],
  ),
];

const ACCESS: readonly Mutant[] = [
  ...of(
    'app/http/access.ts',
    ['app/http'],
    [
      'a role may no more than it is for',
      'HTTP_ROLES.indexOf(role) >= HTTP_ROLES.indexOf(needed)',
      'true',
    ],
    ['after ten wrong ones a stranger waits', 'this.#countOf(own) >= MOST_WRONG)', 'false)'],
    [
      'strangers of many networks wait together',
      'this.#countOf(this.#allWrong) < MOST_WRONG_AT_ALL ||',
      'true ||',
    ],
    ['whoever was right from there waits for no strangers', '|| this.isKnown(address)', ''],
    ['a stranger does not lock out the owner', 'right?.has(found.sha256) !== true', 'true'],
    ['a login link is good once', 'this.#codes.delete(key);\n    if (endMs', 'if (endMs'],
    ['a session ends', 'return endMs <= nowMs ||', 'return'],
    ['a session that nobody uses ends', '|| usedMs + IDLE_MS <= nowMs', ''],
    [
      'a token that is taken away ends its sessions',
      'if (isGone(session)) this.#sessions.delete(key);',
      '',
    ],
    [
      'of IPv6 a /64 is one visitor',
      'const network = visitorNetwork(address);\n    const own = this.#wrong.get(network) ??',
      'const network = address;\n    const own = this.#wrong.get(network) ??',
    ],
  ),
  ...of(
    'app/http/proxmox-logins.ts',
    ['app/http/proxmox-login.test.ts'],
    [
      'a login with a user is off unless it is asked for',
      "if (!this.isOn) throw new HttpProblem('not-here', 'http_proxmox_login is not set');",
      '',
    ],
    [
      'a wrong password counts before it is checked',
      'this.#access.wrong(address);\n    try',
      'try',
    ],
    [
      'a password that is being checked is not tried beside it',
      'this.#checking.has(network) ||',
      '',
    ],
    ['rights that a user has lost end its session', '} else this.#access.end(cookie);', '}'],
    [
      'rights are looked up again',
      'if (this.#access.nowMs() - session.askedMs < RIGHTS_MS) return session;',
      'return session;',
    ],
    [
      'rights that nobody tells do not last',
      "found.kind === 'no-answer' && askedMs - session.toldMs < LONGEST_UNTOLD_MS",
      "found.kind === 'no-answer'",
    ],
    [
      'whoever may do nothing is not logged in',
      'if (role !== undefined) return { name',
      'return { name',
    ],
  ),
  ...of(
    'node/api/user-rights.ts',
    ['app/http/proxmox-login.test.ts'],
    ['a right is held by what the node says', '=== 1;', '!== 2;'],
    [
      'a right that lacks on one guest counts for none',
      '|| Object.hasOwn(Object(held), privilege)',
      '|| true',
    ],
  ),
  ...of(
    'app/proxmox-users.ts',
    ['app/http/proxmox-login.test.ts'],
    ['to look at guests needs the right to', '!onGuests(LOOKS.guests) ||', ''],
    ['to look at nodes needs the right to', '|| !onNodes(LOOKS.nodes)', ''],
    ['to scale needs all that scaling does', "if (!SCALES.every(onGuests)) return 'read';", ''],
    ['to rule needs the right to grow disks', 'if (!RULES.guests.every(onGuests))', 'if (false)'],
    ['to rule needs the right to, on all', 'mayOnAll(permissions, RULES.all) &&', ''],
    ['to rule needs the right to, on nodes', '&& onNodes(RULES.all)', ''],
  ),
];

const DISKS: readonly Mutant[] = [
  ...of(
    'groups/disks.ts',
    ['groups/disks.test.ts'],
    [
      'what cannot be put on record is not begun',
      "if (unrecordable !== undefined) return refused('refused', unrecordable);",
      '',
    ],
    ['a clone to be left alone is not destroyed', '? leftAlone(guest.config) :', '? undefined :'],
  ),
  ...of(
    'groups/disk-plan.ts',
    ['groups/disks.test.ts'],
    [
      'another guest with its id is not changed',
      '!isSameGuest(identity, config.identity)',
      'false',
    ],
    ['a lock that has come since is heeded', 'if (lock === undefined) return now;', 'return now;'],
    ['a program that ends begins nothing', 'if (stop.aborted) return failed(STOPPING);', ''],
  ),
  ...of(
    'groups/disk-steps.ts',
    ['groups/disks.test.ts'],
    ['a disk that has changed is not grown', 'guest.values.get(disk) !==', 'disk !== disk ||'],
    ['a disk that grew less has failed', 'size < after', 'size < before'],
    [
      'a snapshot with more memory is not gone back to',
      'return world.whyNotGiven(config, then);',
      'return undefined;',
    ],
    ['what would run after a rollback needs room', 'if (runs || !hasState)', 'if (true)'],
  ),
  ...of(
    'groups/disk-clones.ts',
    ['groups/disks.test.ts'],
    ['the host is asked again before a start', 'if (stays !== undefined) return stays;', ''],
    ['a start is read back', 'if (runs === true) return undefined;', 'return undefined;'],
    [
      'a clone is destroyed only if it is the one on record',
      'if (entry === undefined || !isEntryOf(entry, guest)) {',
      'if (entry === undefined) {',
    ],
  ),
  ...of(
    'groups/clone-ledger.ts',
    ['groups/disks.test.ts'],
    [
      'a clone on another node is not gone',
      'cluster.ok && !cluster.value.takenIds.has(vmid)',
      'cluster.ok',
    ],
    [
      'what runs is not taken for a new clone',
      'if (world.runs(seen.value) !== false) return not(',
      'if (false) return not(',
    ],
    [
      'what is old is not taken for a new clone',
      "if (!isYoung(world, entry)) return not('nobody saw it while it was new');",
      '',
    ],
  ),
  ...of(
    'groups/clone-snapshots.ts',
    ['groups/disks.test.ts'],
    ['the removal of a snapshot is read back', '!now.ok || now.value.snapshots.has(name)', 'false'],
  ),
  ...of(
    'groups/storage-room.ts',
    ['groups/disks.test.ts'],
    ['all disks on a storage count', 'mib: before.mib + mib', 'mib'],
    [
      'a size that is not known is not none',
      'if (mib === undefined) return missing(',
      'if (mib === undefined) continue;\n    if (mib < 0) return missing(',
    ],
  ),
];

export const MUTANTS: readonly Mutant[] = [
  ...OBSERVING,
  ...DECIDING,
  ...PLANNING,
  ...ACTING,
  ...GROUPS,
  ...ACCESS,
  ...DISKS,
];
