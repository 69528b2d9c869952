import type { Config } from '../config/model.ts';
import { unknownWord } from '../config/suggest.ts';
import { asSentence } from '../core/plain-text.ts';
import type { ProcessContext } from './context.ts';
import { openOutputs } from './outputs.ts';
import { isAway } from './unfit.ts';
import { homeAway, type OpenWorld, openFarWorld, openWorld } from './world.ts';

/**
 * The node that a command is about, looked at once.
 * @param name what the configuration calls it; undefined: the node that this program runs on, or
 *   else the first of the configuration
 * @returns or a sentence: there is none of that name
 */
export async function openNamed(
  name: string | undefined,
  config: Config,
  context: ProcessContext,
): Promise<OpenWorld | string> {
  const unknown = unknownNode(name, config, context);
  if (unknown !== undefined) return unknown;
  const wanted = name ?? (isAway(config, context) ? config.nodes[0]?.name : undefined);
  const open = await opened(
    config.nodes.filter((one) => one.name === wanted),
    config,
    context,
  );
  await open.world.observe();
  return open;
}

/** What the node is called that is meant if none is named. */
export const homeName = (config: Config, context: Pick<ProcessContext, 'paths'>): string =>
  (isAway(config, context) ? config.nodes[0]?.name : undefined) ?? context.paths.nodeName();

/** @param nodes of the configuration: at most one, and none for this host */
async function opened(
  nodes: Config['nodes'],
  config: Config,
  context: ProcessContext,
): Promise<OpenWorld> {
  if (nodes.length === 0) return openWorld(config, context);
  const { openFarNodes } = await import('./far-nodes.ts');
  const outputs = openOutputs(config, context);
  const [open] = openFarNodes({ nodes }, context).map((far) =>
    openFarWorld(far, outputs, config, context),
  );
  if (open === undefined) throw new Error('one node was to be opened');
  return homeAway(open, outputs);
}

/** A sentence if there is no node of that name. */
export function unknownNode(
  name: string | undefined,
  config: Config,
  context: Pick<ProcessContext, 'paths'>,
): string | undefined {
  const own = isAway(config, context) ? [] : [context.paths.nodeName()];
  const known = [...own, ...config.nodes.map((one) => one.name)];
  if (name === undefined || known.includes(name)) return undefined;
  return asSentence(unknownWord('node', name, known));
}
