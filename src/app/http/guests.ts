import { unknownWord } from '../../config/suggest.ts';
import { guestLabel } from '../../core/guest-words.ts';
import type { Account } from '../../core/report/account.ts';
import { kindIn } from '../../core/report/now.ts';
import type { ContainerRow, StatusReport } from '../../core/report/status.ts';
import { parseVmid, type Vmid } from '../../core/units.ts';
import { type AboutCycle, answerTo } from '../control-answer.ts';
import type { NodeLoop } from '../node-loop.ts';
import { HttpProblem } from './problem.ts';
import type { HttpService } from './service.ts';

/** Nodes and guests, as a request names them. */

/** What the control socket is answered; throws what is an error there. */
export function answerOf<Content>(
  { known }: Pick<HttpService, 'known'>,
  request: AboutCycle,
  field: string,
): Content {
  const answer: Readonly<Record<string, unknown>> = { ...answerTo(request, known()) };
  const content = answer[field];
  if (content !== undefined) return content as Content;
  const { error } = answer;
  const detail = typeof error === 'string' ? error : 'there is no answer';
  const isStarting = known().every(({ view }) => view === undefined);
  throw new HttpProblem(isStarting ? 'starting' : NOT_FOUND[request.command], detail);
}

const NOT_FOUND = {
  status: 'no-such-node',
  explain: 'no-such-guest',
  'explain-group': 'no-such-group',
} as const;

export function statusOf(service: HttpService, node: string | undefined): StatusReport {
  return answerOf(service, { command: 'status', ...(node !== undefined && { node }) }, 'report');
}

export function accountOf(service: HttpService, vmid: Vmid, node: string | undefined): Account {
  const about = { command: 'explain', vmid, ...(node !== undefined && { node }) } as const;
  return answerOf(service, about, 'account');
}

export function vmidOf({ id = '' }: Readonly<Record<string, string>>): Vmid {
  const vmid = parseVmid(id);
  if (vmid !== undefined) return vmid;
  throw new HttpProblem('no-such-guest', `'${id.slice(0, 40)}' is no id of a guest`);
}

/** The loop of a node; undefined: of the one that this program runs on. */
export function nodeNamed(service: HttpService, node: string | undefined): NodeLoop {
  const loops = service.nodes();
  const [home] = loops;
  const named = node === undefined ? home : loops.find(({ open }) => open.name === node);
  if (named !== undefined) return named;
  const names = loops.map(({ open }) => open.name);
  throw new HttpProblem('no-such-node', unknownWord('node', node ?? '', names, ''));
}

/**
 * The loop of the node that has a guest, as its last cycle saw it. An id that several nodes have,
 * of clusters that know nothing of each other, says nothing without its node.
 */
export function loopOf(service: HttpService, vmid: Vmid, node: string | undefined): NodeLoop {
  const named = node === undefined ? service.nodes() : [nodeNamed(service, node)];
  const seen = named.filter(({ view }) => view !== undefined);
  const [found, ...more] = seen.filter(({ view }) =>
    view?.observed.containers.some((one) => one.vmid === vmid),
  );
  if (found !== undefined && more.length > 0) {
    const names = [found, ...more].map(({ open }) => open.name).join(' and ');
    throw new HttpProblem('which-node', `There is a guest ${vmid} on ${names}; add ?node=NAME`);
  }
  if (found !== undefined) return found;
  if (seen.length === 0) {
    throw new HttpProblem('starting', 'The first cycle is not over yet; ask again in a moment');
  }
  throw new HttpProblem('no-such-guest', `There was no guest ${vmid} in the last cycle`);
}

/** A guest as the last cycle saw it, at the beginning of a sentence. */
export function labelOf({ view }: NodeLoop, vmid: Vmid): string {
  const found = view?.observed.containers.find((one) => one.vmid === vmid);
  return guestLabel({ vmid, ...(found && kindIn(found)) });
}

export function rowOf(service: HttpService, vmid: Vmid, node: string | undefined): ContainerRow {
  const { open } = loopOf(service, vmid, node);
  const row = statusOf(service, open.name).containers.find((one) => one.vmid === vmid);
  if (row !== undefined) return row;
  throw new HttpProblem('no-such-guest', `There was no guest ${vmid} in the last cycle`);
}
