import {
  configurationFile,
  readVariables,
  renderProblems,
  selfOf,
  variablesRefused,
} from '../app/configuration.ts';
import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { migrate } from '../config/migrate.ts';
import type { Verdict } from '../config/migrate-keys.ts';
import type { MigratedLine } from '../config/migrated.ts';
import { renderProblem } from '../config/problem.ts';
import { readTextFile } from '../config/read-file.ts';
import { NODE_NAME } from '../core/node-name.ts';
import { plainText } from '../core/plain-text.ts';
import type { Arguments } from './arguments.ts';
import { putConfiguration } from './write-configuration.ts';

/**
 * `migrate-config FILE [--out FILE]`: an earlier program's configuration in today's form, and a
 * report of what became of each key. The old file stays as it is.
 */
export function migrateConfig(given: Arguments, context: ProcessContext): ExitCode {
  const { stdout, stderr, paths } = context;
  const { oldFile: file = '', outFile } = given;
  const old = readTextFile(configurationFile(file, paths));
  if (!old.ok) {
    const message = old.message.replace(/; [^;]*after --config.*$/, '; check the path');
    stderr.write(`${renderProblem({ file, line: undefined, key: undefined, message })}\n`);
    return EXIT.failure;
  }
  const variables = readVariables(context);
  if (!variables.ok) {
    stderr.write(renderProblems(variablesRefused(variables.message)));
    return EXIT.configuration;
  }
  const nodes = given.node?.split(',').flatMap((name) => name.trim() || []) ?? [];
  const strange = nodes.find((name) => !NODE_NAME.test(name));
  if (strange !== undefined) {
    stderr.write(`--node: '${plainText(strange)}' is no name of a node\n`);
    return EXIT.usage;
  }
  const where = { self: selfOf(paths), nodes };
  const migrated = migrate(old.text, file, variables.env, where);
  if (!migrated.ok) {
    const { line, message } = migrated;
    stderr.write(`${renderProblem({ file, line, key: undefined, message })}\n`);
    stderr.write('Nothing was migrated.\n');
    return EXIT.configuration;
  }
  const { form, lines, text } = migrated;
  const report = `${reportOf(file, form, lines).join('\n')}\n`;
  if (outFile === undefined) {
    stderr.write(report);
    stdout.write(text);
    return EXIT.fine;
  }
  stdout.write(report);
  return putConfiguration(outFile, text, context) ? EXIT.fine : EXIT.failure;
}

const ORDER: readonly Verdict[] = [
  'taken',
  'renamed',
  'converted',
  'added',
  'not supported',
  'dropped',
];

/** What was added to a section for the same reason, told together. */
function oneForTheAdded(lines: readonly MigratedLine[]): MigratedLine[] {
  const together = new Map<string, MigratedLine[]>();
  for (const line of lines) {
    if (line.verdict !== 'added') continue;
    const reason = `${line.key.replace(/\..*/, '')} ${line.why}`;
    together.set(reason, [...(together.get(reason) ?? []), line]);
  }
  const added = [...together.values()].flatMap((those): MigratedLine[] => {
    const [first] = those;
    if (first === undefined || those.length === 1) return those;
    const values = those.map(({ key, value }) => `${key.replace(/^.*\./, '')} ${value ?? ''}`);
    const why = `${values.join(', ')}: ${first.why}`;
    return [{ ...first, key: first.key.replace(/\..*/, ''), why }];
  });
  return [...lines.filter(({ verdict }) => verdict !== 'added'), ...added];
}

/** One line for each key of the old file, then how many there are of which kind. */
function reportOf(file: string, form: string, lines: readonly MigratedLine[]): string[] {
  const said = oneForTheAdded(lines).map(({ line, key, verdict, why }) =>
    renderProblem({ file, line, key, message: why === '' ? verdict : `${verdict}: ${why}` }),
  );
  const counts = ORDER.flatMap((verdict) => {
    const count = lines.filter((line) => line.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return [...said, `Read as ${form}: ${counts.join(', ')}.`];
}
