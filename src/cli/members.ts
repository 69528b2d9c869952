import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { isEntryOf, type LedgerMember } from '../core/groups/ledger.ts';
import { LONGEST_NAME_IN_TABLE } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import { createCluster } from '../node/local/pve/cluster-files.ts';
import { createLedgers, listLedgers } from '../node/local/pve/member-ledger.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';

/**
 * `members`: the clones of all groups that are there, from the ledgers, so also without the daemon
 * and for groups that are configured no longer. Only reads.
 */

const HEAD = ['GROUP', 'VMID', 'NAME', 'STATE', 'NODE', 'ADDRESS'];

interface Row extends Pick<LedgerMember, 'vmid' | 'state' | 'node' | 'madeS'> {
  readonly group: string;
  readonly name: string;
  readonly address: string | null;
}

export function members({ json }: Arguments, { paths, stdout, stderr }: ProcessContext): ExitCode {
  const cluster = createCluster(paths).read();
  const groups = listLedgers(paths);
  if (!cluster.ok || !groups.ok) {
    const detail = cluster.ok ? groups : cluster;
    stderr.write(`The members cannot be read: ${detail.ok ? '' : plainText(detail.detail)}\n`);
    return EXIT.failure;
  }
  const ledgers = createLedgers(paths);
  const rows: Row[] = [];
  let code: ExitCode = EXIT.fine;
  for (const group of groups.value) {
    const ledger = ledgers.read(group);
    if (!ledger.ok) {
      stderr.write(`Left out: ${plainText(ledger.detail)}.\n`);
      code = EXIT.failure;
      continue;
    }
    for (const entry of ledger.value.members.values()) {
      const guest = cluster.value.guests.get(entry.vmid);
      if (guest?.ok !== true || !isEntryOf(entry, guest.value)) continue;
      const { vmid, state, madeS, address = null } = entry;
      const { hostname: name, node } = guest.value;
      rows.push({ group, vmid, name, state, node, address, madeS });
    }
  }
  if (json) stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else if (rows.length > 0) stdout.write(`${table([HEAD, ...rows.map(cells)]).join('\n')}\n`);
  else stdout.write('There are no clones of groups.\n');
  return code;
}

const cells = ({ group, vmid, name, state, node, address }: Row): string[] => [
  group,
  `${vmid}`,
  plainText(name, LONGEST_NAME_IN_TABLE),
  state,
  node,
  address ?? 'dhcp',
];
