// Points kubeconfigs at another address (Fairlead's listener), and back. Everything is planned and checked
// before anything is written; each file is then replaced in one step, with the original beside it, so that a
// node whose power goes at any moment has a kubeconfig that works: the old one, or the new one that was
// verified in advance.
import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readCa } from '../kubernetes/pem.ts';
import { codeOf, messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import type { HostPort } from '../model/endpoint.ts';
import { resolveBelow } from '../lib/below-root.ts';
import {
  type ClusterChange,
  editKubeconfig,
  type KubeconfigCluster,
  type KubeconfigText,
  pointingProblem,
  readKubeconfigText,
} from './kubeconfig-text.ts';
import {
  moveFile,
  noStep,
  type OnStep,
  removeFile,
  removeLeftovers,
  replaceFile,
} from '../lib/replace-file.ts';
import { chooseName, type NameChoice, type NameChoiceInput, nameCandidates } from './server-names.ts';
import { formatDiff, invertEdits } from './text-edit.ts';
import { fileErrorText } from '../lib/errno.ts';

export const backupSuffix = '.fairlead-backup';

/** Kubeconfigs are a few kilobytes. */
const maxBytes = 1 << 20;

export interface PointOptions {
  /** Absolute, below `root`. */
  readonly files: readonly string[];
  readonly root: string;
  /** Where clients are to connect. */
  readonly address: HostPort;
  /** The URL to write. */
  readonly server: string;
  /** `auto`: one is written only where the certificates need it. */
  readonly tlsServerName: 'auto' | { readonly name: string };
  readonly clusters: 'current' | 'all' | readonly string[];
  /** The API servers behind the address, as far as they are known: the name must hold for each. */
  readonly endpoints: readonly HostPort[];
  readonly chooseName?: (input: NameChoiceInput) => Promise<NameChoice>;
}

export interface ClusterSummary {
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  /** The `tls-server-name` afterwards. */
  readonly tlsServerName?: string;
}

/** What is to be done with one file. */
export interface FilePlan {
  /** As it was given. */
  readonly file: string;
  /** The real file: symlinks followed, below the root. */
  readonly target: string;
  readonly action: 'point' | 'restore' | 'nothing';
  readonly clusters: readonly ClusterSummary[];
  /** A unified diff without context and without secrets; empty when nothing changes. */
  readonly diff: string;
  readonly warnings: readonly string[];
  /** Why there is nothing to do. */
  readonly why?: string;
  readonly write?: PlannedWrite;
}

interface PlannedWrite {
  readonly before: Buffer;
  readonly after: Buffer;
  readonly attributes: Stats;
  /** `keep`: it holds the original already; `make`: write `before` there; `return`: move it back. */
  readonly backup: 'keep' | 'make' | 'return' | 'drop';
}

interface OpenedFile {
  readonly target: string;
  readonly bytes: Buffer;
  readonly attributes: Stats;
  readonly reading: KubeconfigText;
}

const kubeconfigError = (message: string, cause?: unknown) =>
  new FairleadError('KUBECONFIG_INVALID', message, { cause });

async function readBounded(path: string): Promise<{ bytes: Buffer; attributes: Stats }> {
  const attributes = await stat(path);
  if (!attributes.isFile()) throw new Error('is not a regular file');
  if (attributes.size > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
  return { bytes: await readFile(path), attributes };
}

function decode(bytes: Buffer): string {
  try {
    // The byte order mark is kept: it is one of the bytes that must not change.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('is not UTF-8 text');
  }
}

async function openKubeconfig(root: string, file: string): Promise<OpenedFile> {
  try {
    const target = await resolveBelow(root, file);
    const { bytes, attributes } = await readBounded(target);
    const reading = readKubeconfigText(decode(bytes));
    if (!reading.ok) throw new Error(reading.problem);
    return { target, bytes, attributes, reading: reading.value };
  } catch (error) {
    throw kubeconfigError(`${file} ${fileErrorText(error) ?? messageOf(error)}`, error);
  }
}

/** Undefined when there is none; or when it is spoilt, unless it is needed. */
async function openBackup(
  target: string,
  { isNeeded }: { readonly isNeeded: boolean },
): Promise<{ bytes: Buffer; reading: KubeconfigText } | undefined> {
  const path = `${target}${backupSuffix}`;
  try {
    const { bytes } = await readBounded(path);
    const reading = readKubeconfigText(decode(bytes));
    if (reading.ok) return { bytes, reading: reading.value };
    if (!isNeeded) return undefined;
    throw new Error(`${reading.problem}, so the original cannot be restored`);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw kubeconfigError(`${path} ${fileErrorText(error) ?? messageOf(error)}`, error);
  }
}

/** Runs `plan` for every file and reports the problems of all of them at once. */
async function forEach(
  files: readonly string[],
  plan: (file: string) => Promise<FilePlan>,
): Promise<FilePlan[]> {
  const results = await Promise.allSettled([...new Set(files)].map(plan));
  const problems = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  const [first] = problems;
  if (first === undefined) return results.map((result) => (result as PromiseFulfilledResult<FilePlan>).value);
  const unexpected = problems.find((problem) => !(problem instanceof FairleadError));
  if (unexpected !== undefined) throw unexpected;
  if (problems.length === 1) throw first;
  const list = problems.map((problem) => `\n  ${messageOf(problem)}`).join('');
  throw new FairleadError(
    (first as FairleadError).code,
    `${problems.length} files cannot be changed:${list}`,
  );
}

/** Plans to point the files; rejects with every problem, having changed nothing. */
export function planPointing(options: PointOptions): Promise<FilePlan[]> {
  return forEach(options.files, (file) => planPoint(file, options));
}

async function planPoint(file: string, options: PointOptions): Promise<FilePlan> {
  const opened = await openKubeconfig(options.root, file);
  const { target, bytes, attributes, reading } = opened;
  const changes: ClusterChange[] = [];
  const summaries: ClusterSummary[] = [];
  const warnings = [...reading.warnings];
  for (const cluster of chosenClusters(file, reading, options.clusters)) {
    const { change, warnings: more } = await changeOf(file, cluster, options);
    changes.push(change);
    warnings.push(...more.filter((warning) => !warnings.includes(warning)));
    const name = change.tlsServerName ?? cluster.tlsServerName;
    summaries.push({
      cluster: cluster.name,
      from: cluster.server,
      to: change.server,
      ...(name && { tlsServerName: name }),
    });
  }
  const edited = editKubeconfig(reading.text, changes);
  if (!edited.ok) throw kubeconfigError(`${file}: ${edited.problem}`);
  const plan = { file, target, clusters: summaries, warnings };
  const { text, edits } = edited.value;
  if (edits.length === 0) {
    return { ...plan, action: 'nothing', diff: '', why: `already points at ${options.server}` };
  }
  const backup = await openBackup(target, { isNeeded: false });
  // A backup that differs in more than the address is older than a rewrite by another program: it is stale.
  const isCurrent = backup !== undefined && isPointingOf(backup.reading, reading);
  return {
    ...plan,
    action: 'point',
    diff: formatDiff(file, reading.text, edits, reading.secrets),
    write: { before: bytes, after: Buffer.from(text), attributes, backup: isCurrent ? 'keep' : 'make' },
  };
}

function chosenClusters(
  file: string,
  { clusters, currentCluster }: KubeconfigText,
  wanted: PointOptions['clusters'],
): KubeconfigCluster[] {
  if (wanted === 'all') {
    if (clusters.length === 0) throw kubeconfigError(`${file} has no clusters`);
    return [...clusters];
  }
  const names = wanted === 'current' ? [currentCluster] : wanted;
  return names.map((name) => {
    if (name === undefined) {
      throw kubeconfigError(`${file} has no current context that names a cluster; choose one with --cluster`);
    }
    const found = clusters.find((cluster) => cluster.name === name);
    if (found) return found;
    const known = clusters.map((cluster) => cluster.name).join(', ') || 'none';
    throw kubeconfigError(`${file} has no cluster "${name}" (it has: ${known})`);
  });
}

async function changeOf(
  file: string,
  cluster: KubeconfigCluster,
  { root, address, server, tlsServerName, endpoints, chooseName: choose = chooseName }: PointOptions,
): Promise<{ change: ClusterChange; warnings: readonly string[] }> {
  if (cluster.server === '') throw kubeconfigError(`${file}: cluster "${cluster.name}" has no server`);
  const problem = pointingProblem(cluster);
  if (problem !== undefined) throw kubeconfigError(`${file}: cluster "${cluster.name}" ${problem}`);
  const ca = await caOf(root, file, cluster);
  const candidates =
    tlsServerName === 'auto' ? nameCandidates(address.host, cluster.tlsServerName) : [tlsServerName.name];
  const choice = await choose({ address, endpoints, candidates, ...(ca !== undefined && { ca }) });
  if (!choice.ok) {
    throw new FairleadError('SERVER_UNVERIFIED', `${file}, cluster "${cluster.name}":\n  ${choice.problem}`);
  }
  const isNeeded = cluster.tlsServerName !== undefined || choice.name !== address.host;
  return {
    change: { cluster: cluster.name, server, ...(isNeeded && { tlsServerName: choice.name }) },
    warnings: choice.warnings,
  };
}

async function caOf(root: string, file: string, { name, caData, caFile }: KubeconfigCluster) {
  try {
    if (caData !== undefined) {
      const text = Buffer.from(caData, 'base64').toString('utf8');
      return readCa({ text, where: `certificate-authority-data of cluster "${name}"` });
    }
    if (caFile === undefined) return undefined;
    const path = caFile.startsWith('/') ? caFile : `${dirname(file)}/${caFile}`;
    const { bytes } = await readBounded(await resolveBelow(root, path));
    return readCa({ text: decode(bytes), where: path });
  } catch (error) {
    const reason = fileErrorText(error) ?? messageOf(error);
    throw kubeconfigError(`${file}: the CA of cluster "${name}" cannot be read: ${reason}`, error);
  }
}

/** The clusters of `current` with the addresses that they have in `original`. */
export function changesBack(original: KubeconfigText, current: KubeconfigText): ClusterChange[] {
  return current.clusters.flatMap((cluster) => {
    const before = original.clusters.find(({ name }) => name === cluster.name);
    const isSame =
      !before || (before.server === cluster.server && before.tlsServerName === cluster.tlsServerName);
    if (isSame) return [];
    return [{ cluster: cluster.name, server: before.server, tlsServerName: before.tlsServerName ?? null }];
  });
}

/** Whether `current` is `original` with other addresses: no byte differs but those of the addresses. */
function isPointingOf(original: KubeconfigText, current: KubeconfigText): boolean {
  const forward = changesBack(current, original);
  const edited = editKubeconfig(original.text, forward);
  return edited.ok && edited.value.text === current.text;
}

/** Plans to put the originals back; rejects with every problem, having changed nothing. */
export function planRestoring({ files, root }: Pick<PointOptions, 'files' | 'root'>): Promise<FilePlan[]> {
  return forEach(files, (file) => planRestore(file, root));
}

async function planRestore(file: string, root: string): Promise<FilePlan> {
  const { target, bytes, attributes, reading } = await openKubeconfig(root, file);
  const backup = await openBackup(target, { isNeeded: true });
  const plan = { file, target, clusters: [], warnings: [] as string[] };
  if (!backup)
    return { ...plan, action: 'nothing', diff: '', why: 'has not been pointed (it has no backup)' };
  const changes = changesBack(backup.reading, reading);
  const clusters = changes.map(({ cluster, server, tlsServerName }) => ({
    cluster,
    from: reading.clusters.find(({ name }) => name === cluster)?.server ?? '',
    to: server,
    ...(typeof tlsServerName === 'string' && { tlsServerName }),
  }));
  const write = { before: bytes, attributes };
  if (isPointingOf(backup.reading, reading)) {
    // The inverse of the pointing, and so the very bytes of the backup.
    const forward = editKubeconfig(backup.reading.text, changesBack(reading, backup.reading));
    const edits = forward.ok ? invertEdits(backup.reading.text, forward.value.edits) : [];
    return {
      ...plan,
      clusters,
      action: 'restore',
      diff: edits.length > 0 ? formatDiff(file, reading.text, edits, reading.secrets) : '',
      write: { ...write, after: backup.bytes, backup: 'return' },
    };
  }
  const edited = editKubeconfig(reading.text, changes);
  if (!edited.ok) {
    throw kubeconfigError(
      `${file} has been changed since it was pointed, and ${edited.problem}; compare it with ${target}${backupSuffix}`,
    );
  }
  return {
    ...plan,
    clusters,
    action: 'restore',
    diff: formatDiff(file, reading.text, edited.value.edits, reading.secrets),
    warnings: ['has changed since it was pointed; only the addresses are restored'],
    write: { ...write, after: Buffer.from(edited.value.text), backup: 'drop' },
  };
}

export interface ApplyOptions {
  readonly nowMs: number;
  readonly onStep?: OnStep;
}

/** Does what was planned; a failure leaves the file as it was, or whole in its new state. */
export async function applyPlan(plan: FilePlan, { nowMs, onStep = noStep }: ApplyOptions): Promise<void> {
  const { file, target, write } = plan;
  if (!write) return;
  const backupPath = `${target}${backupSuffix}`;
  try {
    await removeLeftovers(target, nowMs);
    if (!(await readFile(target)).equals(write.before))
      throw new Error('it was changed by another process in the meantime');
    if (write.backup === 'make') await replaceFile(backupPath, write.before, write.attributes, onStep);
    if (write.backup === 'return') {
      await moveFile(backupPath, target, onStep);
    } else {
      await replaceFile(target, write.after, write.attributes, onStep);
      if (write.backup === 'drop') await removeFile(backupPath, onStep);
    }
  } catch (error) {
    throw new FairleadError('FILE_NOT_WRITTEN', `${file}: ${messageOf(error)}`, { cause: error });
  }
}
