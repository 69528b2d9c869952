import { type Bundle, type BundledPackage, idOf } from './bundle.ts';

/** The licences of what is in the bundle, which go with every copy of it. */

const LINE = '-'.repeat(80);

export function notice({ packages }: Pick<Bundle, 'packages'>): string {
  const byText = new Map<string, BundledPackage[]>();
  for (const one of packages) {
    byText.set(one.licenceText, [...(byText.get(one.licenceText) ?? []), one]);
  }
  const parts = [...byText].map(([text, same]) => {
    const names = same.map((one) => `${idOf(one).replace(/@(?=[^@]*$)/, ' ')} (${one.licence})`);
    return `${LINE}\n${names.join('\n')}\n\n${text}\n`;
  });
  return `lxc-autoscale is under the MIT licence; see LICENSE. The files lxc-autoscale*.cjs
and lxc-autoscale-web.html have parts of ${packages.length} packages by others,
under the licences that follow.

${parts.join('\n')}`;
}
