import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/app/exit-codes.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { commandHelp, EXIT_CODES, programHelp } from '../../src/cli/help.ts';
import { FLAG_COMMANDS, OPTIONS } from '../../src/cli/options.ts';

describe('the help of the program', () => {
  const help = programHelp();

  it('names every command and the exit codes', () => {
    for (const { name, summary } of COMMANDS) {
      expect(help).toMatch(new RegExp(`^ {2}${name}[ |]`, 'm'));
      expect(help.replace(/\s+/g, ' ')).toContain(summary);
    }
    expect(Object.keys(EXIT_CODES).map(Number)).toEqual(Object.values(EXIT));
    const codes = '0 fine, 1 failure, 64 wrong usage, 75 already running, 78 wrong configuration.';
    expect(help.replace(/\s+/g, ' ')).toContain(codes);
  });

  it('fits a terminal', () => {
    for (const line of help.split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe.each(COMMANDS)('the help of $name', (command) => {
  const help = commandHelp(command);

  it('has its options, and no others', () => {
    const named = [...help.matchAll(/^ {2}(?:-h, )?--([a-z_-]+)/gm)].map(([, name]) => name);
    expect(named).toEqual([...Object.keys(command.options), 'help']);
  });

  it('begins with its use, says what it does, and fits a terminal', () => {
    expect(help).toMatch(new RegExp(`^Usage: lxc-autoscale ${command.name}\\b.* \\[OPTIONS\\]\\n`));
    expect(help.replace(/\s+/g, ' ')).toContain(command.summary);
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe('the table of commands', () => {
  it('has each command once, and a use for each option', () => {
    const names = COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const used = new Set(COMMANDS.flatMap(({ options }) => Object.keys(options)));
    const unused = Object.keys(OPTIONS).filter((option) => !used.has(option));
    expect(unused).toEqual([...Object.keys(FLAG_COMMANDS), 'help', 'version']);
  });

  it('speaks in sentences: a capital letter, and the full stop is put by who shows it', () => {
    for (const { summary, help, options } of COMMANDS) {
      for (const text of [summary, ...Object.values(options)]) expect(text).not.toMatch(/\.$/);
      expect(summary).toMatch(/^[A-Z]/);
      if (help !== undefined) expect(help).toMatch(/^[A-Z].*\.$/);
    }
  });
});
