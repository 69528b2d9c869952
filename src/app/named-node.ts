import type { Config } from '../config/model.ts';
import { unknownWord } from '../config/suggest.ts';
import { asSentence } from '../core/plain-text.ts';
import type { ProcessContext } from './context.ts';
import { type OpenWorld, openFarWorld, openWorld } from './world.ts';

/**
 * The node that a command is about, looked at once.
 * @param name what the configuration calls it; undefined: the node that this program runs on
 * @returns or a sentence: there is none of that name
 */
export async function openNamed(
  name: string | undefined,
  config: Config,
  context: ProcessContext,
): Promise<OpenWorld | string> {
  const unknown = unknownNode(name, config, context);
  if (unknown !== undefined) return unknown;
  const home = openWorld(config, context);
  if (name === undefined || name === home.name) {
    await home.world.observe();
    return home;
  }
  const { openFarNodes } = await import('./far-nodes.ts');
  const nodes = config.nodes.filter((one) => one.name === name);
  const [open] = openFarNodes({ nodes }, context).map((far) =>
    openFarWorld(far, home.outputs, config, context),
  );
  if (open === undefined) throw new Error('one node was to be opened');
  await open.world.observe();
  const close = async (): Promise<void> => {
    await open.close();
    await home.close();
  };
  return { ...open, close };
}

/** A sentence if there is no node of that name. */
export function unknownNode(
  name: string | undefined,
  { nodes }: Config,
  { paths }: Pick<ProcessContext, 'paths'>,
): string | undefined {
  const known = [paths.nodeName(), ...nodes.map((one) => one.name)];
  if (name === undefined || known.includes(name)) return undefined;
  return asSentence(unknownWord('node', name, known));
}
