// Makes a name in /etc/hosts resolve to this node, or restores it, for clients that know the API server as
// lb-apiserver.kubernetes.local. Atomic where the file can be replaced; a bind mount (a container's /etc/hosts)
// can only be written in place.
import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { codeOf, messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { managedHosts, withManaged, withoutManaged } from './hosts-text.ts';
import { lineDiff } from '../lib/line-diff.ts';
import { noStep, type OnStep, overwriteFile, removeLeftovers, replaceFile } from '../lib/replace-file.ts';

export const hostsFile = '/etc/hosts';
/** What Kubespray's documents call the API servers' load balancer. */
export const defaultHostName = 'lb-apiserver.kubernetes.local';

export interface HostsPlan {
  readonly target: string;
  /** Empty when there is nothing to do. */
  readonly diff: string;
  readonly before: Buffer;
  readonly after: Buffer;
  readonly attributes: Stats;
}

export interface HostsOptions {
  readonly root: string;
  readonly name: string;
  /** None: the original entry is restored. */
  readonly addresses: readonly string[];
}

/** A file of names has a few hundred lines; lists of advertisers have many more. */
export const maxHostsBytes = 16 << 20;

const notWritten = (message: string, cause?: unknown) =>
  new FairleadError('FILE_NOT_WRITTEN', message, { cause });

export async function planHosts({ root, name, addresses }: HostsOptions): Promise<HostsPlan> {
  try {
    const target = await resolveBelow(root, hostsFile);
    const attributes = await stat(target);
    if (!attributes.isFile()) throw new Error('is not a regular file');
    // A mounted file of which the node has another one by now: what is written here would go nowhere.
    if (attributes.nlink === 0) throw new Error('was replaced after it was mounted; restart this pod');
    if (attributes.size > maxHostsBytes) throw new Error(`is larger than ${maxHostsBytes} bytes`);
    const before = await readFile(target);
    // One character for one byte, so that foreign content stays unchanged.
    const text = before.toString('latin1');
    const others = [...managedHosts(text)].filter(([other]) => other !== name);
    const wanted = new Map([...others, ...(addresses.length > 0 ? [[name, addresses] as const] : [])]);
    const after = wanted.size > 0 ? withManaged(text, wanted) : withoutManaged(text);
    return {
      target,
      diff: lineDiff(hostsFile, text, after),
      before,
      after: Buffer.from(after, 'latin1'),
      attributes,
    };
  } catch (error) {
    throw notWritten(`${hostsFile}: ${messageOf(error)}`, error);
  }
}

/** The file cannot be replaced: it is a mount point, or its directory cannot be written. */
const mustStay = new Set(['EBUSY', 'EROFS', 'EACCES', 'EPERM', 'EXDEV']);

/** Says how it was written. */
export async function applyHosts(
  { target, before, after, attributes }: HostsPlan,
  { nowMs, onStep = noStep }: { readonly nowMs: number; readonly onStep?: OnStep },
): Promise<'replaced' | 'in place'> {
  try {
    if (!(await readFile(target)).equals(before))
      throw new Error('it was changed by another process in the meantime');
    try {
      await removeLeftovers(target, nowMs);
      await replaceFile(target, after, attributes, onStep);
      return 'replaced';
    } catch (error) {
      if (!mustStay.has(codeOf(error) ?? '')) throw error;
      await overwriteFile(target, before, after, onStep);
      return 'in place';
    }
  } catch (error) {
    throw notWritten(`${hostsFile}: ${messageOf(error)}`, error);
  }
}
