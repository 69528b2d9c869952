import type { LoadResult } from '../config/load.ts';
import type { Config } from '../config/model.ts';
import { printable } from '../config/printable.ts';
import type { Problem } from '../config/problem.ts';
import { renderProblem } from '../config/problem.ts';
import { hostPolicy, manage } from '../config/resolve.ts';
import type { GuestConfig } from '../core/observation.ts';
import type { ContainerPolicy } from '../core/policy.ts';
import type { Reading } from '../core/reading.ts';
import type { Vmid } from '../core/units.ts';
import type { ExitCode } from './exit-codes.ts';
import { EXIT } from './exit-codes.ts';

/** `check-config`: the problems of the file, or what it comes to for each container. */

const MAX_NAME_CHARS = 32;

export type GuestList = Reading<ReadonlyMap<Vmid, Reading<GuestConfig>>>;

export interface CheckConfigInput {
  readonly loadResult: LoadResult;
  /** The node's containers, from the port `Guests`. */
  readonly guests: GuestList;
  /** Writes text to the terminal; lines end in `\n` already. */
  readonly write: (text: string) => void;
}

/** Prints the answer and returns the exit code: 0, or 78 where the configuration has problems. */
export function checkConfig({ loadResult, guests, write }: CheckConfigInput): ExitCode {
  const lines = loadResult.ok
    ? resolvedLines(loadResult.config, loadResult.notes, guests)
    : problemLines(loadResult.problems);
  write(`${lines.join('\n')}\n`);
  return loadResult.ok ? EXIT.fine : EXIT.configuration;
}

function problemLines(problems: readonly Problem[]): string[] {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  return [...problems.map(renderProblem), '', `The configuration has ${count}.`];
}

function resolvedLines(config: Config, notes: readonly Problem[], guests: GuestList): string[] {
  const host = hostPolicy(config);
  const reserve = `${percent(host.reserveCpu)} of its CPUs and ${host.reserveMemoryMib} MiB`;
  return [
    ...notes.map((note) => `Note: ${renderProblem(note)}`),
    ...(notes.length > 0 ? [''] : []),
    'The configuration is valid.',
    `A cycle every ${config.pollIntervalMs / 1000} seconds; the host keeps ${reserve}.`,
    '',
    ...(guests.ok
      ? containerLines(config, guests.value)
      : withoutContainers(config, guests.detail)),
  ];
}

function withoutContainers(config: Config, detail: string): string[] {
  const policies = [config.defaults, ...config.tiers.map((tier) => tier.policy)];
  return [
    `No containers could be seen: ${printable(detail, 200)}. What the sections come to:`,
    '',
    ...table([POLICY_HEAD, ...policies.map(policyCells)]),
  ];
}

function containerLines(config: Config, guests: ReadonlyMap<Vmid, Reading<GuestConfig>>): string[] {
  if (guests.size === 0) {
    const head = 'There are no containers on this node. What DEFAULT comes to:';
    return [head, '', ...table([POLICY_HEAD, policyCells(config.defaults)])];
  }
  const sorted = [...guests].sort(([a], [b]) => a - b);
  const rows = sorted.map(([vmid, guest]) => containerCells(config, vmid, guest));
  const elsewhere = idsElsewhere(config, guests);
  return [
    ...table([['VMID', 'NAME', ...POLICY_HEAD], ...rows]),
    ...(elsewhere.length > 0 ? ['', `Not on this node: ${elsewhere.join(', ')}.`] : []),
  ];
}

function containerCells(config: Config, vmid: Vmid, guest: Reading<GuestConfig>): string[] {
  if (!guest.ok) {
    const why = printable(guest.detail, 200);
    return [`${vmid}`, '-', `left alone: its configuration cannot be read (${why})`];
  }
  const { name, tags, template, lock } = guest.value;
  const head = [`${vmid}`, printable(name, MAX_NAME_CHARS)];
  const management = manage(config, { vmid, name, tags });
  if (management.kind === 'ignored') return [...head, `left alone: ${management.because}`];
  if (template) return [...head, 'left alone: it is a template'];
  const cells = [...head, ...policyCells(management.policy)];
  return lock === undefined ? cells : [...cells, `(waits: lock ${printable(lock, 20)})`];
}

const POLICY_HEAD = ['POLICY', 'CORES', 'CPU', 'STEP', 'MEMORY MiB', 'MEMORY', 'STEPS', 'TIMES'];

function policyCells({ source, cpu, memory, stepFactor }: ContainerPolicy): string[] {
  return [
    printable(source, MAX_NAME_CHARS),
    `${cpu.min}-${cpu.max}`,
    `${amount(cpu.band.lower * 100)}-${percent(cpu.band.upper)}`,
    `${cpu.minIncrement}-${cpu.maxIncrement}`,
    `${memory.minMib}-${memory.maxMib ?? 'host'}`,
    `${amount(memory.band.lower * 100)}-${percent(memory.band.upper)}`,
    `+${memory.minIncrementMib} -${memory.minDecreaseMib}`,
    `x${stepFactor}`,
  ];
}

/** Without the tail of digits that a share has in binary. */
const amount = (value: number): string => `${Number(value.toFixed(6))}`;
const percent = (share: number): string => `${amount(share * 100)} %`;

/** Single ids that the file names and the node does not have; on a cluster that is ordinary. */
function idsElsewhere(config: Config, guests: ReadonlyMap<Vmid, unknown>): string[] {
  const absent: string[] = [];
  for (const vmid of config.ignoredVmids) {
    if (!guests.has(vmid)) absent.push(`${vmid} (ignore_lxc)`);
  }
  for (const tier of config.tiers) {
    for (const { from, to } of tier.members) {
      if (from === to && !guests.has(from)) absent.push(`${from} (${printable(tier.name)})`);
    }
  }
  return absent;
}

/** Columns two blanks apart. A sentence may end a row; it widens no column. */
function table(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths: number[] = [];
  for (const row of rows) {
    const cells = row.length < columns ? row.slice(0, -1) : row.slice(0, columns);
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
