import type { ProcessContext } from '../app/context.ts';
import { openFarNodes } from '../app/far-nodes.ts';
import type { Config } from '../config/model.ts';
import { plainText } from '../core/plain-text.ts';
import { table } from '../output/table.ts';

/** The further nodes of a configuration: whether each is reached, or why not. Only reads. */
export async function nodeLines(
  config: Pick<Config, 'nodes'>,
  context: Pick<ProcessContext, 'clock' | 'paths'>,
): Promise<readonly string[]> {
  const far = openFarNodes(config, context);
  try {
    await Promise.all(far.map(({ eyes }) => eyes.observe()));
    const rows = far.map(({ name, eyes }, index) => {
      const { host = '', port = 0 } = config.nodes[index] ?? {};
      const listed = eyes.guests.list();
      const { cpus } = eyes.host.observe();
      const problem = listed.ok ? (cpus.ok ? undefined : cpus.detail) : listed.detail;
      const count = listed.ok ? `${listed.value.size}` : '-';
      return [name, `${host}:${port}`, count, plainText(problem ?? 'reached')];
    });
    return ['', 'Other nodes:', '', ...table([['NODE', 'HOST', 'CONTAINERS', 'STATE'], ...rows])];
  } finally {
    for (const { close } of far) close();
  }
}
