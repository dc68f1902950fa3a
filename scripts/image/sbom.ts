// The list of what is in the image (CycloneDX): the npm packages that esbuild put into the bundle, Node, and the
// Debian packages. Pure; without times and random numbers, so that the same inputs give the same bytes.
import type { Arch, Inputs, Package } from './inputs.ts';

export interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
}

/** The packages of the lock file (by their path) that have a file in the bundle. */
export function bundledPackages(
  inputs: Iterable<string>,
  locked: Readonly<Record<string, LockedPackage>>,
): Map<string, LockedPackage> {
  const found = new Map<string, LockedPackage>();
  for (const input of inputs) {
    const path = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input.replace(/^[a-z-]+:/, ''))?.[0];
    if (path === undefined) continue;
    const entry = locked[path];
    if (!entry) throw new Error(`${path} is in the bundle and not in package-lock.json`);
    found.set(path, entry);
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const encode = (text: string) => encodeURIComponent(text).replaceAll('%2F', '/');

function npmComponent(path: string, { version = '', integrity, license }: LockedPackage) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const purl = `pkg:npm/${encode(name)}@${encode(version)}`;
  const sha512 =
    integrity?.startsWith('sha512-') && Buffer.from(integrity.slice(7), 'base64').toString('hex');
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    ...(license && { licenses: [{ expression: license }] }),
    ...(sha512 && { hashes: [{ alg: 'SHA-512', content: sha512 }] }),
  };
}

function debianComponent({ name, version, sha256 }: Package, arch: Arch, distribution: string) {
  const purl = `pkg:deb/debian/${encode(name)}@${encode(version)}?arch=${arch}&distro=${distribution}`;
  const hashes = [{ alg: 'SHA-256', content: sha256 }];
  return { type: 'library', 'bom-ref': purl, name, version, purl, hashes };
}

export interface SbomInput {
  readonly arch: Arch;
  readonly version: string;
  readonly inputs: Inputs;
  readonly packages: readonly Package[];
  readonly bundled: ReadonlyMap<string, LockedPackage>;
}

export function makeSbom({ arch, version, inputs, packages, bundled }: SbomInput): string {
  const { node, distribution } = inputs;
  const self = `pkg:npm/fairlead@${version}`;
  const nodePurl = `pkg:generic/node@${node.version}?arch=${arch}`;
  const components = [
    ...[...bundled].map(([path, entry]) => npmComponent(path, entry)),
    {
      type: 'platform',
      'bom-ref': nodePurl,
      name: 'node',
      version: node.version,
      purl: nodePurl,
      licenses: [{ expression: 'MIT' }],
      // Of the binary before its debug information was left out.
      hashes: [{ alg: 'SHA-256', content: node.sha256[arch] }],
    },
    ...packages.map((entry) => debianComponent(entry, arch, distribution)),
  ];
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'container',
        'bom-ref': self,
        name: 'fairlead',
        version,
        purl: self,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components,
    dependencies: [{ ref: self, dependsOn: components.map((component) => component['bom-ref']) }],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
