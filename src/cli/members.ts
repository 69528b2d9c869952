import { readConfiguration, renderProblems } from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { openNamed } from '../app/named-node.ts';
import { isEntryOf, type LedgerMember } from '../core/groups/ledger.ts';
import { LONGEST_NAME_IN_TABLE } from '../core/guest-words.ts';
import { plainText } from '../core/plain-text.ts';
import { createCluster } from '../node/local/pve/cluster-files.ts';
import { createLedgers } from '../node/local/pve/member-ledger.ts';
import type { GroupDoor } from '../node/port.ts';
import { table } from '../output/table.ts';
import type { Arguments } from './arguments.ts';

/**
 * `members`: the clones of all groups that are there, from the ledgers, so also without the daemon
 * and for groups that are configured no longer; here, or on a further node. Only reads.
 */

const HEAD = ['GROUP', 'VMID', 'NAME', 'STATE', 'NODE', 'ADDRESS'];

interface Row extends Pick<LedgerMember, 'vmid' | 'state' | 'node' | 'madeS'> {
  readonly group: string;
  readonly name: string;
  readonly address: string | null;
}

type Door = Pick<GroupDoor, 'cluster' | 'ledgers'>;

export async function members(given: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { paths, stderr } = context;
  const here: Door = { cluster: createCluster(paths), ledgers: createLedgers(paths) };
  if (given.node === undefined) return list(here, given, context);
  const loaded = readConfiguration(given, context);
  if (!loaded.ok) {
    stderr.write(renderProblems(loaded));
    return EXIT.configuration;
  }
  const open = await openNamed(given.node, loaded.config, context);
  if (typeof open === 'string') {
    stderr.write(`${plainText(open)}\n`);
    return EXIT.failure;
  }
  try {
    const door = open.below === '' ? here : open.groups;
    await door?.cluster.look?.();
    if (door !== undefined) return list(door, given, context);
    stderr.write(`${open.name} is reached by the API, where no group has members.\n`);
    return EXIT.failure;
  } finally {
    await open.close();
  }
}

function list(
  { cluster: seen, ledgers }: Door,
  { json }: Arguments,
  { stdout, stderr }: ProcessContext,
): ExitCode {
  const cluster = seen.read();
  const groups = ledgers.list();
  if (!cluster.ok || !groups.ok) {
    const detail = cluster.ok ? groups : cluster;
    stderr.write(`The members cannot be read: ${detail.ok ? '' : plainText(detail.detail)}\n`);
    return EXIT.failure;
  }
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
