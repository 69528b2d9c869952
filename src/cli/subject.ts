import { unknownWord } from '../config/suggest.ts';
import { WEBHOOK_FORMATS } from '../config/webhook-formats.ts';
import { parseVmid, type Vmid } from '../core/units.ts';
import { TESTED_CHANNELS, type TestedChannel } from './channels.ts';
import type { Command } from './command.ts';

/** What a command is about: the words that follow its name. */

export interface SubjectRead {
  /** undefined: all containers, or the command is about none. */
  readonly vmid?: Vmid;
  readonly guestName?: string;
  readonly file?: string;
  readonly channel?: TestedChannel;
}

/** A sentence on what is wrong. */
interface Wrong {
  readonly message: string;
}

/** What a guest or a group may be called, which no id is: it has a letter. */
const NAME = /^(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,255}$/;

/** @param all `--all` is given */
export function readSubject(
  command: Command,
  words: readonly string[],
  all: boolean,
): SubjectRead | Wrong {
  switch (command.subject) {
    case 'none':
      return readNothing(command, words);
    case 'file':
      return readFile(command, words);
    case 'channel or none':
      return readChannel(words);
    default:
      return readContainer(command, words, all);
  }
}

function readNothing({ name, options }: Command, [word]: readonly string[]): SubjectRead | Wrong {
  if (word === undefined) return {};
  const isFile = options.config !== undefined && /[/.]/.test(word);
  const hint = isFile ? `. For another configuration: ${name} --config ${word}` : '';
  return { message: `${name} stands alone, '${word}' is too much${hint}` };
}

function readContainer(
  { name, subject, options }: Command,
  [word, more]: readonly string[],
  all: boolean,
): SubjectRead | Wrong {
  if (word === undefined) {
    if (subject.endsWith(' or none') || all) return {};
    if (subject === 'container or group') {
      return { message: `${name} needs the id or the name of a container, or the name of a group` };
    }
    return { message: `${name} needs the id or the name of a container, or --all` };
  }
  if (more !== undefined) {
    const isTimed = [options.since, options.to, options.at].some((one) => one !== undefined);
    const hint =
      isTimed && parseVmid(more) === undefined ? '; a time that contains a blank needs quotes' : '';
    return { message: `${name} takes one container, '${more}' is too much${hint}` };
  }
  const vmid = parseVmid(word);
  if (vmid === undefined && !NAME.test(word)) {
    const isNumber = /^[0-9.+-]*$/.test(word);
    return {
      message: isNumber
        ? `'${word}' is no container id, a whole number from 100 to 999999999`
        : `${name} takes one guest, by its id or its whole name, not '${word}'`,
    };
  }
  if (all && subject === 'container or all')
    return { message: `--all is every container, so '${word}' does not go with it` };
  return vmid === undefined ? { guestName: word } : { vmid };
}

function readFile({ name }: Command, [file, more]: readonly string[]): SubjectRead | Wrong {
  if (file === undefined || file === '') return { message: `${name} needs the path of a file` };
  if (more !== undefined) return { message: `${name} takes one file, '${more}' is too much` };
  return { file };
}

function readChannel([word, more]: readonly string[]): SubjectRead | Wrong {
  if (word === undefined) return {};
  if (more !== undefined) return { message: `one channel at a time, '${more}' is too much` };
  const name = word.toLowerCase().replaceAll('-', '_');
  const channel = TESTED_CHANNELS.find((known) => known === name);
  if (channel !== undefined) return { channel };
  if (WEBHOOK_FORMATS.some((format) => format === name)) {
    return { message: `${name} is reached by the webhook (webhook_format): notify-test webhook` };
  }
  return { message: unknownWord('channel', word, TESTED_CHANNELS) };
}
