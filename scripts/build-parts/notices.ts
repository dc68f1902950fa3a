// The licences of what is bundled, to be shipped beside it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LockedPackage } from '../image/sbom.ts';

const licenceFile = /^(licen[cs]e|copying|notice)/i;

export const packageName = (path: string) =>
  path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** The heading of a package's notice. */
export const noticeHeading = (path: string, { version = '' }: LockedPackage) =>
  `== ${packageName(path)} ${version}\n`;

/**
 * `packages` by their directories, `comments` as they stand in their code. Throws where a package has no licence file:
 * it may not be shipped without one.
 */
export function makeNotices(
  packages: ReadonlyMap<string, LockedPackage>,
  comments: readonly string[],
): string {
  const notices = [...packages].map(([path, entry]) => {
    const files = readdirSync(path).filter((file) => licenceFile.test(file));
    if (files.length === 0) throw new Error(`${path} has no licence file, and its licence asks for a notice`);
    const texts = files.sort().map((file) => readFileSync(join(path, file), 'utf8').trim());
    return `${noticeHeading(path, entry)}\n${texts.join('\n\n')}\n`;
  });
  const head = 'Fairlead contains code of these packages, under these licences.\n';
  const marked =
    comments.length > 0 ? ['== Comments in their code\n', ...comments.map((text) => text.trim())] : [];
  return `${[head, ...notices, ...marked].join('\n')}\n`;
}
