// A kubeconfig as text whose `server` and `tls-server-name` can be changed without touching another byte:
// the parser says where a value stands, and only those bytes are replaced. Pure.
//
// Every edit is proved before it is returned: the new text is parsed and must say exactly what the old one
// said, but for the values that were to change. So a shape that the editing does not foresee (an anchor that
// two clusters share) is refused, never mangled.
import { isDeepStrictEqual } from 'node:util';
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseAllDocuments,
  type YAMLMap,
} from 'yaml';
import { messageOf } from '../model/error-text.ts';
import type { Parsed } from '../model/endpoint.ts';
import type { TextEdit } from './text-edit.ts';
import { applyEdits } from './text-edit.ts';
import { insertion, pairOf, removal, valueEdit } from './yaml-edit.ts';
import { parseJson } from '../lib/bounded-json.ts';
import { type Fields, fieldsOf, isRecord, listOf } from '../lib/guards.ts';

/** A cluster of the kubeconfig, as far as pointing it elsewhere needs it. */
export interface KubeconfigCluster {
  readonly name: string;
  readonly server: string;
  readonly tlsServerName?: string;
  /** `certificate-authority-data`, base64. */
  readonly caData?: string;
  /** `certificate-authority`, relative to the kubeconfig. */
  readonly caFile?: string;
  readonly skipsVerification: boolean;
  /** `proxy-url`. */
  readonly hasProxy: boolean;
}

export interface KubeconfigText {
  readonly text: string;
  readonly clusters: readonly KubeconfigCluster[];
  /** The cluster of the current context; the only cluster where there is one and no current context. */
  readonly currentCluster?: string;
  /** What its readers should know: parts of the file that no client reads. */
  readonly warnings: readonly string[];
  /** Ranges of what must not be shown: everything below `users`. */
  readonly secrets: readonly (readonly [from: number, to: number])[];
}

/** What a cluster is to say. */
export interface ClusterChange {
  readonly cluster: string;
  readonly server: string;
  /** null: the key is to be absent; undefined: it stays as it is. */
  readonly tlsServerName?: string | null;
}

export interface EditedKubeconfig {
  readonly text: string;
  /** In the order of the text, without overlap; none when nothing had to change. */
  readonly edits: readonly TextEdit[];
}

/** Aliases may multiply what they name by this much at most; kubeconfigs have none. */
const maxAliasCount = 100;

function documentsOf(text: string): Parsed<Document[]> {
  const documents = parseAllDocuments(text, { prettyErrors: false, logLevel: 'silent' });
  const [document] = 'empty' in documents ? [] : documents;
  if (!document) return { ok: false, problem: 'is empty' };
  for (const { errors } of documents as Document[]) {
    // The parser's own message would quote the line, which may hold a key.
    const [mistake] = errors;
    if (mistake) {
      const line = text.slice(0, mistake.pos[0]).split('\n').length;
      return { ok: false, problem: `is not YAML (${mistake.code} in line ${line})` };
    }
  }
  return { ok: true, value: documents as Document[] };
}

function valuesOf(documents: readonly Document[]): Parsed<unknown[]> {
  try {
    return { ok: true, value: documents.map((document) => document.toJS({ maxAliasCount })) };
  } catch (error) {
    return { ok: false, problem: `is not usable YAML: ${messageOf(error)}` };
  }
}

function named(root: Fields, list: string): Map<string, Fields> {
  const found = new Map<string, Fields>();
  for (const entry of listOf(root[list])) {
    if (!isRecord(entry) || typeof entry.name !== 'string') continue;
    // As client-go, which refuses a file that gives a name twice.
    if (found.has(entry.name)) throw new Error(`${list} has "${entry.name}" twice`);
    found.set(entry.name, entry);
  }
  return found;
}

/** Reads the first document of `text`, which is the one that every client reads. */
export function readKubeconfigText(text: string): Parsed<KubeconfigText> {
  const documents = documentsOf(text);
  if (!documents.ok) return documents;
  const values = valuesOf(documents.value);
  if (!values.ok) return values;
  const [root] = values.value;
  if (!isRecord(root)) return { ok: false, problem: 'is not a kubeconfig: expected a YAML mapping' };
  try {
    const clusters = [...named(root, 'clusters')].map(([name, { cluster }]) => readCluster(name, cluster));
    const current = currentCluster(root, clusters);
    const warnings =
      documents.value.length > 1
        ? ['has several YAML documents; clients read only the first one, and only that one is changed']
        : [];
    const secrets = documents.value.flatMap((document) => secretRanges(document));
    return {
      ok: true,
      value: { text, clusters, warnings, secrets, ...(current && { currentCluster: current }) },
    };
  } catch (error) {
    return { ok: false, problem: messageOf(error) };
  }
}

function readCluster(name: string, cluster: unknown): KubeconfigCluster {
  const entry = fieldsOf(cluster);
  const text = (key: string) => {
    const value = entry[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const [tlsServerName, caData, caFile] = [
    text('tls-server-name'),
    text('certificate-authority-data'),
    text('certificate-authority'),
  ];
  return {
    name,
    server: text('server') ?? '',
    skipsVerification: entry['insecure-skip-tls-verify'] === true,
    hasProxy: (entry['proxy-url'] ?? '') !== '',
    ...(tlsServerName && { tlsServerName }),
    ...(caData && { caData }),
    ...(caFile && { caFile }),
  };
}

/** Why a cluster's server must not be replaced by an address of the node; undefined: it may be. */
export function pointingProblem({
  server,
  skipsVerification,
  hasProxy,
}: KubeconfigCluster): string | undefined {
  if (skipsVerification)
    return (
      'sets insecure-skip-tls-verify, so any server could impersonate the API server; ' +
      'set its CA (certificate-authority-data) first'
    );
  if (hasProxy)
    return (
      'has a proxy-url: its clients would ask that proxy for the address, which is not on this node; ' +
      'remove proxy-url first if the API servers can be reached directly'
    );
  if (!['', '/'].includes(URL.parse(server)?.pathname ?? ''))
    return `has a server with a path (${server}): that is not the API that Fairlead's listener leads to`;
  return undefined;
}

function currentCluster(root: Fields, clusters: readonly KubeconfigCluster[]): string | undefined {
  const contextName = root['current-context'];
  if (typeof contextName === 'string' && contextName !== '') {
    const context = named(root, 'contexts').get(contextName)?.context;
    return isRecord(context) && typeof context.cluster === 'string' ? context.cluster : undefined;
  }
  return clusters.length === 1 ? clusters[0]?.name : undefined;
}

function secretRanges(document: Document): (readonly [number, number])[] {
  const users = isMap(document.contents) ? pairOf(document.contents, 'users') : undefined;
  const range = isNode(users?.value) ? users.value.range : undefined;
  return range ? [[range[0], range[1]]] : [];
}

/** Makes the changes; a problem says why it would not be safe. */
export function editKubeconfig(text: string, changes: readonly ClusterChange[]): Parsed<EditedKubeconfig> {
  const documents = documentsOf(text);
  if (!documents.ok) return documents;
  const expected = valuesOf(documents.value);
  if (!expected.ok) return expected;
  const [document] = documents.value;
  const edits: TextEdit[] = [];
  for (const change of changes) {
    const cluster = document && clusterMap(document, change.cluster);
    if (!cluster) return { ok: false, problem: `clusters has no entry "${change.cluster}" with a mapping` };
    const made = clusterEdits(text, cluster, change);
    if (!made.ok) return { ok: false, problem: `cluster "${change.cluster}" ${made.problem}` };
    edits.push(...made.value);
  }
  // Two clusters may be one by an anchor: then each asks for the same edit.
  const distinct = [...new Map(edits.map((edit) => [`${edit.from}:${edit.to}:${edit.text}`, edit])).values()];
  distinct.sort((a, b) => a.from - b.from);
  const edited = applyEdits(text, distinct);
  const problem = difference(text, edited, expected.value, changes);
  if (problem !== undefined) return { ok: false, problem };
  return { ok: true, value: { text: edited, edits: distinct } };
}

/** The mapping under `cluster` of the entry with that name. */
function clusterMap(document: Document, name: string): YAMLMap | undefined {
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const root = document.contents;
  const list = isMap(root) ? resolve(pairOf(root, 'clusters')?.value) : undefined;
  for (const item of isSeq(list) ? list.items : []) {
    const entry = resolve(item);
    if (!isMap(entry)) continue;
    const entryName = resolve(pairOf(entry, 'name')?.value);
    if (!isScalar(entryName) || entryName.value !== name) continue;
    const cluster = resolve(pairOf(entry, 'cluster')?.value);
    return isMap(cluster) ? cluster : undefined;
  }
  return undefined;
}

function clusterEdits(
  text: string,
  map: YAMLMap,
  { server, tlsServerName }: ClusterChange,
): Parsed<TextEdit[]> {
  const serverPair = pairOf(map, 'server');
  if (!serverPair || !isNode(serverPair.value)) return { ok: false, problem: 'has no server' };
  const edits: TextEdit[] = [];
  const current = serverPair.value;
  if (!isScalar(current) || current.value !== server) edits.push(valueEdit(text, serverPair, server));
  const namePair = pairOf(map, 'tls-server-name');
  if (tlsServerName === null && namePair) edits.push(removal(text, map, namePair));
  if (typeof tlsServerName === 'string') {
    const isSame = isScalar(namePair?.value) && namePair.value.value === tlsServerName;
    if (namePair && !isSame) edits.push(valueEdit(text, namePair, tlsServerName));
    if (!namePair)
      edits.push(insertion(text, map, serverPair, { key: 'tls-server-name', value: tlsServerName }));
  }
  return { ok: true, value: edits };
}

/** What is wrong with the new text; undefined when it says `values`, with the changes made in them. */
function difference(
  text: string,
  edited: string,
  values: readonly unknown[],
  changes: readonly ClusterChange[],
): string | undefined {
  const shape = 'is written in a way that cannot be changed safely (shared anchors, or an unusual layout)';
  const documents = documentsOf(edited);
  const after = documents.ok ? valuesOf(documents.value) : documents;
  if (!after.ok) return shape;
  const [root] = values;
  const list = isRecord(root) && Array.isArray(root.clusters) ? root.clusters : [];
  for (const { cluster: name, server, tlsServerName } of changes) {
    const index = list.findIndex((entry) => isRecord(entry) && entry.name === name);
    // Copied, as an alias makes two entries one object, and each is to be judged by itself.
    const cluster: Record<string, unknown> = { ...list[index].cluster, server };
    if (tlsServerName === null) delete cluster['tls-server-name'];
    else if (tlsServerName !== undefined) cluster['tls-server-name'] = tlsServerName;
    list[index] = { ...list[index], cluster };
  }
  if (!isDeepStrictEqual(after.value, values)) return shape;
  return isJson(text) && !isJson(edited) ? shape : undefined;
}

const isJson = (text: string) => parseJson(text) !== undefined;
