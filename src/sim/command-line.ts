import { valueProblem } from './guest-conf.ts';

/** How Proxmox's commands read their arguments, and what they say when they cannot. */

export interface Answer {
  readonly exit: number;
  readonly stdout: string | Uint8Array;
  readonly stderr: string;
}

export const answer = (stdout: string, stderr = ''): Answer => ({ exit: 0, stdout, stderr });
export const failure = (exit: number, stderr: string): Answer => ({ exit, stdout: '', stderr });

export interface ParameterRule {
  readonly type: 'integer' | 'number' | 'boolean' | 'string';
  readonly min?: number;
  readonly max?: number;
  readonly maxLength?: number;
}

export interface CommandShape {
  /** Names of the fixed arguments, e.g. `vmid`. */
  readonly args: readonly string[];
  readonly options: (name: string) => ParameterRule | undefined;
  /** The line that follows an error, e.g. `pct set <vmid> [OPTIONS]`. */
  readonly usage: string;
  /** Whether what follows `--` or the last fixed argument belongs to the command as it is. */
  readonly extra?: boolean;
}

export interface Arguments {
  readonly vmid: number;
  readonly values: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly extra: readonly string[];
}

const vmidRule: ParameterRule = { type: 'integer', min: 100, max: 999_999_999 };
const isVmid = (name: string): boolean => name === 'vmid' || name === 'newid';

export function verificationFailure(
  problems: ReadonlyMap<string, string>,
  usage: string,
  exit = 255,
): Answer {
  const lines = [...problems.keys()].sort().map((key) => `${key}: ${problems.get(key) ?? ''}\n`);
  return failure(exit, `400 Parameter verification failed.\n${lines.join('')}${usage}\n`);
}

interface Split {
  readonly values: string[];
  readonly options: Map<string, string>;
  readonly extra: readonly string[];
  /** What Getopt complains of; everything else waits until these are mended. */
  readonly complaints: string[];
}

function splitArguments(shape: CommandShape, argv: readonly string[]): Split {
  const values: string[] = [];
  const options = new Map<string, string>();
  const complaints: string[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--') break;
    const [, name, inline] = /^--?([a-zA-Z][\w.-]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
    if (name === undefined) {
      values.push(word);
      continue;
    }
    const rule = shape.options(name);
    const next = rest[0];
    if (rule === undefined) complaints.push(`Unknown option: ${name}`);
    else if (inline !== undefined) options.set(name, inline);
    else if (rule.type === 'boolean') {
      const takesNext = next !== undefined && /^(?:0|1|yes|no|on|off|true|false)$/.test(next);
      options.set(name, takesNext ? (rest.shift() ?? '1') : '1');
    } else if (next === undefined || next === '--') {
      complaints.push(`Option ${name} requires an argument`);
    } else options.set(name, rest.shift() ?? '');
  }
  return { values, options, extra: rest, complaints };
}

/** Takes the arguments apart, or returns the answer with which the command refuses them. */
export function parseArguments(
  shape: CommandShape,
  argv: readonly string[],
): { ok: true; arguments: Arguments } | { ok: false; answer: Answer } {
  const { usage } = shape;
  const { values, options, extra, complaints } = splitArguments(shape, argv);
  const refuse = (text: string) => ({ ok: false as const, answer: failure(255, text) });
  if (complaints.length > 0) {
    return refuse(`${complaints.join('\n')}\n400 unable to parse option\n${usage}\n`);
  }
  const words = shape.extra ? [...values.splice(shape.args.length), ...extra] : [];
  if (values.length < shape.args.length) return refuse(`400 not enough arguments\n${usage}\n`);
  if (values.length > shape.args.length) return refuse(`400 too many arguments\n${usage}\n`);
  const problems = new Map<string, string>();
  for (const [index, name] of shape.args.entries()) {
    const problem = isVmid(name) ? valueProblem(vmidRule, values[index] ?? '') : undefined;
    if (problem !== undefined) problems.set(name, problem);
  }
  for (const [name, value] of options) {
    const rule = shape.options(name);
    const problem = rule === undefined ? undefined : valueProblem(rule, value);
    if (problem !== undefined) problems.set(name, problem);
  }
  if (problems.size > 0) return { ok: false, answer: verificationFailure(problems, usage) };
  const vmid = shape.args[0] === 'vmid' ? Number(values[0]) : 0;
  return { ok: true, arguments: { vmid, values, options, extra: words } };
}

export const isTrue = (value: string | undefined): boolean =>
  value !== undefined && /^(?:1|on|yes|true)$/i.test(value);
