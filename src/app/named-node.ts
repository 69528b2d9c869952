import type { Config } from '../config/model.ts';
import { unknownWord } from '../config/suggest.ts';
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
  const home = openWorld(config, context);
  if (name === undefined || name === home.name) {
    await home.world.observe();
    return home;
  }
  const wanted = config.nodes.find((one) => one.name === name);
  if (wanted === undefined) {
    await home.close();
    return unknownWord('node', name, [home.name, ...config.nodes.map((one) => one.name)]);
  }
  const { openFarNodes } = await import('./far-nodes.ts');
  const open = openFarNodes({ nodes: [wanted] }, context).map((far) =>
    openFarWorld(far, home.outputs, config, context),
  )[0];
  if (open === undefined) throw new Error('one node was to be opened');
  await open.world.observe();
  const close = async (): Promise<void> => {
    await open.close();
    await home.close();
  };
  return { ...open, close };
}
