import type { Change, Hold, HoldReason, Limit, Measured, Resource, Skip } from './decision.ts';

/** Turns the reason of a decision into the sentence that a person reads. */

export function explainChange(change: Change): string {
  const { measured, resource, rule } = change;
  const why = `${used(resource, measured)}, ${ruleWords(change, rule)}`;
  const bounds = change.limits.map((limit) => limitWords(limit, resource, measured));
  return [why, ...bounds].join('; ');
}

export function explainHold({ because, resource, measured }: Hold): string {
  const seen = measured === undefined ? '' : `${used(resource, measured)}: `;
  return seen + holdWords(because, resource, measured);
}

export function explainSkip({ because }: Skip): string {
  switch (because.kind) {
    case 'ignored':
      return because.because;
    case 'template':
      return 'it is a template';
    case 'locked':
      return `it is locked (${because.lock}); waiting until that operation has ended`;
    case 'stopped':
      return 'it is not running';
    case 'pending-changes':
      return `changes of ${because.keys.join(', ')} wait for its next start`;
    case 'unreadable':
      return `no reading: ${because.reading.detail}`;
    case 'failed-lately': {
      const times = because.failures === 1 ? 'a change' : `${because.failures} changes in a row`;
      return `${times} failed; next try in ${Math.ceil(because.retryInMs / 1000)} s`;
    }
  }
}

/** An amount with its unit, in the form of the log: `2 cores`, `6656MB`. */
export function amount(resource: Resource, value: number): string {
  return resource === 'memory' ? `${short(value)}MB` : `${short(value)}`;
}

export function withUnit(resource: Resource, value: number): string {
  if (resource === 'memory') return `${short(value)} MB`;
  return value === 1 ? '1 core' : `${short(value)} cores`;
}

const short = (value: number): string => String(Math.round(value * 100) / 100);
const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10} %`;

function used(resource: Resource, { used, share, before }: Measured): string {
  const what = resource === 'memory' ? 'working set' : 'usage';
  const value = resource === 'memory' ? `${Math.round(used)} MB` : withUnit('cores', used);
  return `${what} ${value} is ${percent(share)} of what it has (${withUnit(resource, before)})`;
}

function ruleWords({ resource, measured }: Change, rule: Change['rule']): string {
  switch (rule) {
    case 'above-upper':
      return `above ${percent(measured.band.upper)}`;
    case 'below-lower':
      return `below ${percent(measured.band.lower)}`;
    case 'below-minimum':
      return `and that is less than the minimum of ${withUnit(resource, measured.min)}`;
    case 'above-maximum':
      return `and that is more than the maximum of ${withUnit(resource, measured.max)}`;
    case 'oom-kill':
      return 'and the OOM killer has struck in it: it needed more';
  }
}

function limitWords(limit: Limit, resource: Resource, measured: Measured): string {
  switch (limit) {
    case 'maximum':
      return `bounded by the maximum of ${withUnit(resource, measured.max)}`;
    case 'minimum':
      return `bounded by the minimum of ${withUnit(resource, measured.min)}`;
    case 'need':
      return `bounded by its need of ${withUnit(resource, Math.ceil(measured.need))}`;
    case 'opposite':
      return 'bounded so that the opposite step does not follow';
    case 'host':
      return 'bounded by what the host can give';
  }
}

function holdWords(because: HoldReason, resource: Resource, measured?: Measured): string {
  switch (because.kind) {
    case 'in-band':
      return 'inside the band, nothing to do';
    case 'missing':
      return `no reading, so no scaling: ${because.reading.detail}`;
    case 'at-maximum':
      return `starving at its maximum of ${withUnit(resource, measured?.max ?? 0)}`;
    case 'at-minimum':
      return 'idle at its minimum, nothing to take back';
    case 'too-little-to-take':
      return `only ${because.left} MB could be taken back, and a step is ${because.least} MB`;
    case 'opposite':
      return 'no step leads into the band without the opposite one following';
    case 'limit-hit':
      return `it met its memory limit ${because.hits} times since the last cycle, so none is taken`;
    case 'oom-lately':
      return 'the OOM killer struck in it lately, so none is taken back yet';
    case 'cpulimit':
      return `its cpulimit of ${because.cpuLimit} binds, so more cores would not help`;
    case 'not-in-force':
      return notInForce(resource, because.configured, because.live);
    case 'host-memory':
      return `the host can give ${because.budget} of the ${because.wanted} MB that it needs`;
    case 'host-cores':
      return `the host's reserve leaves at most ${withUnit('cores', because.ceiling)} to one container`;
    case 'next-cycle':
      return 'there are enough changes in this cycle; it comes with the next';
  }
}

function notInForce(resource: Resource, configured: number, live: number | null): string {
  const inForce = live === null ? 'no limit' : withUnit(resource, live);
  const configuredText = withUnit(resource, configured);
  return `configured are ${configuredText}, in force ${live === null ? 'is' : 'are'} ${inForce}`;
}
