import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FILES, MAIN_FILE } from '../../tools/build/bundles.ts';
import { idOf, readBundle } from '../../tools/docs/bundle.ts';
import { notice } from '../../tools/docs/notice.ts';
import { type OwnPackage, sbom } from '../../tools/docs/sbom.ts';

const CHECKOUT = new URL('../..', import.meta.url).pathname;
const own = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as OwnPackage & {
  readonly dependencies: Readonly<Record<string, string>>;
};
const read = (path: string): string => readFileSync(join(CHECKOUT, path), 'utf8');

const bundle = await readBundle(CHECKOUT);
const direct = Object.entries(own.dependencies).map(([name, version]) => idOf({ name, version }));

/** Those that ask for nothing but their text. */
const LICENCES = ['MIT', 'MIT-0', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];

describe('what is bundled', () => {
  it('is what the program depends on, and what comes with that', () => {
    expect(bundle.imports).toEqual([...direct].sort());
    const known = new Set(bundle.packages.map(idOf));
    for (const { imports } of bundle.packages)
      for (const id of imports) expect(known).toContain(id);
    const reached = new Set(bundle.imports);
    for (const id of reached) {
      for (const next of bundle.packages.find((one) => idOf(one) === id)?.imports ?? []) {
        reached.add(next);
      }
    }
    expect([...reached].sort()).toEqual([...known].sort());
  });

  it('has licences that allow it, each with its text and the checksum of the lock', () => {
    for (const one of bundle.packages) {
      expect([one.name, LICENCES.includes(one.licence)]).toEqual([one.name, true]);
      expect([one.name, one.licenceText]).toEqual([
        one.name,
        expect.stringMatching(/copyright[\s\S]*(permission|licen[cs]e)/i),
      ]);
      expect([one.name, Buffer.from(one.sha512 ?? '', 'base64').length]).toEqual([one.name, 64]);
    }
  });
});

it('NOTICE is current; otherwise: npm run docs && cp dist/share/NOTICE .', () => {
  const text = notice(bundle);
  expect(read('NOTICE')).toBe(text);
  for (const { name, version, licenceText } of bundle.packages) {
    expect(text).toContain(`\n${name} ${version} (`);
    expect(text).toContain(licenceText);
  }
});

it('docs/dependencies.md has each dependency with its version and a reason', () => {
  const text = read('docs/dependencies.md');
  const rows = [...text.matchAll(/^\| ([\w-]+ [\d.]+) \| .{20,} \|$/gm)].map(([, name]) => name);
  expect(rows).toEqual(direct.map((id) => id.replace('@', ' ')));
  expect(text).toContain(`parts of ${bundle.packages.length} packages. Nine of them`);
  expect(rows).toHaveLength(9);
});

describe('the parts list', () => {
  const list = JSON.parse(JSON.stringify(sbom(bundle, own)));

  it('has every package once, with its address', () => {
    expect(list).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 });
    expect(list.components).toHaveLength(bundle.packages.length);
    const refs = list.components.map((one: { purl: string }) => one.purl);
    expect(new Set(refs).size).toBe(refs.length);
    expect(refs).toContain('pkg:npm/%40dabh/diagnostics@2.0.9');
    const zod = bundle.packages.find(({ name }) => name === 'zod');
    expect(list.components).toContainEqual({
      type: 'library',
      'bom-ref': `pkg:npm/zod@${zod?.version}`,
      name: 'zod',
      version: zod?.version,
      scope: 'required',
      purl: `pkg:npm/zod@${zod?.version}`,
      hashes: [{ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) }],
      licenses: [{ license: { id: 'MIT' } }],
      properties: [{ name: 'lxc-autoscale:bytesInFiles', value: `${zod?.bytes}` }],
    });
  });

  it('says who imports whom, of what is in it', () => {
    const refs = new Set(list.components.map((one: { purl: string }) => one.purl));
    const [self, ...others] = list.dependencies;
    expect(self.ref).toBe(list.metadata.component['bom-ref']);
    expect(self.dependsOn).toHaveLength(direct.length);
    expect(others.map((one: { ref: string }) => one.ref)).toEqual([...refs]);
    for (const { dependsOn } of list.dependencies) {
      for (const ref of dependsOn) expect(refs).toContain(ref);
    }
  });

  it('knows no time, no machine and no number that changes', () => {
    const text = JSON.stringify(list);
    expect(text).not.toMatch(/timestamp|serialNumber|uuid|\d{4}-\d\d-\d\dT/);
    expect(text).not.toContain(CHECKOUT.slice(0, -1));
  });

  it.runIf(existsSync(join(CHECKOUT, 'dist', MAIN_FILE)))(
    'has the checksums of the files that are shipped',
    () => {
      const { component } = list.metadata;
      for (const [place, name] of FILES.entries()) {
        const content = createHash('sha256')
          .update(readFileSync(join(CHECKOUT, 'dist', name)))
          .digest('hex');
        expect(component.components[place]).toMatchObject({ type: 'file', name });
        expect(component.components[place].hashes).toEqual([{ alg: 'SHA-256', content }]);
      }
    },
  );
});
