import { type Bundle, type BundledPackage, idOf } from './bundle.ts';

/**
 * The parts list of the shipped files, for programs that look for known weaknesses: CycloneDX 1.5
 * (ECMA-424). The same sources give the same bytes, so it bears no time and no serial number.
 */

export interface OwnPackage {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** Source: the package-url specification, type npm. */
const purl = (id: string): string => `pkg:npm/${id.replace(/^@/, '%40')}`;

const licences = (id: string) => [{ license: { id } }];

function component({ name, version, licence, sha512, bytes }: BundledPackage) {
  const [, group, own] = /^(@[^/]+)\/(.*)$/.exec(name) ?? [];
  const id = purl(idOf({ name, version }));
  const content = sha512 && Buffer.from(sha512, 'base64').toString('hex');
  return {
    type: 'library',
    'bom-ref': id,
    ...(group === undefined ? { name } : { group, name: own }),
    version,
    scope: 'required',
    ...(content === undefined ? {} : { hashes: [{ alg: 'SHA-512', content }] }),
    licenses: licences(licence),
    purl: id,
    properties: [{ name: 'lxc-autoscale:bytesInFiles', value: `${bytes}` }],
  };
}

export function sbom({ packages, imports, files }: Bundle, own: OwnPackage): object {
  const { name, version, description, license, devDependencies } = own;
  const self = `${name}@${version}`;
  const esbuild = { type: 'application', name: 'esbuild', version: devDependencies['esbuild'] };
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      tools: { components: [esbuild] },
      component: {
        type: 'application',
        'bom-ref': self,
        name,
        version,
        description,
        licenses: licences(license),
        components: files.map(({ name: file, sha256 }) => ({
          type: 'file',
          'bom-ref': file,
          name: file,
          version,
          hashes: [{ alg: 'SHA-256', content: sha256 }],
        })),
      },
    },
    components: packages.map(component),
    dependencies: [
      { ref: self, dependsOn: imports.map(purl) },
      ...packages.map((one) => ({ ref: purl(idOf(one)), dependsOn: one.imports.map(purl) })),
    ],
  };
}
