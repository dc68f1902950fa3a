// API discovery and OpenAPI documents: as much as kubectl asks for before it does anything.
import type { Exchange } from './exchange.ts';
import { apiVersionOf, groupVersions, type Kind, kinds } from './kinds.ts';
import { failure } from './status.ts';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const protobufV2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

export const version = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: 'v1.36.2',
  gitCommit: '0000000000000000000000000000000000000000',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'go1.26.0',
  compiler: 'gc',
  platform: 'linux/amd64',
};

/** Answers discovery and OpenAPI paths; false for any other path. */
export async function answerDiscovery(exchange: Exchange, serverAddress: string): Promise<boolean> {
  const { path } = exchange;
  const accept = exchange.headers.accept ?? '';
  if (path === '/' || path === '/index.html') {
    await exchange.json(200, {
      paths: ['/api', '/api/v1', '/apis', '/healthz', '/livez', '/readyz', '/version'],
    });
  } else if (path === '/version' || path === '/version/') {
    await exchange.json(200, version);
  } else if ((path === '/api' || path === '/apis') && accept.includes('as=APIGroupDiscoveryList')) {
    const asked = /v=(v2(?:beta1)?);as=APIGroupDiscoveryList/.exec(accept.replaceAll(' ', ''))?.[1] ?? 'v2';
    const type = `application/json;g=apidiscovery.k8s.io;v=${asked};as=APIGroupDiscoveryList`;
    await exchange.json(200, aggregated(path === '/api', asked), { 'content-type': type });
  } else if (path === '/api') {
    const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress }];
    await exchange.json(200, { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs });
  } else if (path === '/apis') {
    await exchange.json(200, {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: groupVersions().map(apiGroup),
    });
  } else if (path === '/openapi/v2') {
    await openApiV2(exchange, accept);
  } else if (path === '/openapi/v3') {
    await exchange.json(200, { paths: openApiV3Paths() });
  } else if (path.startsWith('/openapi/v3/')) {
    await exchange.json(200, openApiV3(path.slice('/openapi/v3/'.length)));
  } else {
    return poolDocument(exchange);
  }
  return true;
}

async function poolDocument(exchange: Exchange): Promise<boolean> {
  const [root, group = '', groupVersion, ...more] = exchange.path.split('/').filter(Boolean);
  if (more.length > 0 || (root !== 'api' && root !== 'apis')) return false;
  if (root === 'apis' && groupVersion === undefined) {
    const found = groupVersions().find((candidate) => candidate.group === group);
    if (!found) return false;
    await exchange.json(200, { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(found) });
    return true;
  }
  const wanted = root === 'api' ? group : `${group}/${groupVersion}`;
  const found = kinds.filter((kind) => apiVersionOf(kind) === wanted);
  const review = reviews[wanted];
  if (review) {
    await exchange.json(200, {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: wanted,
      resources: [review],
    });
    return true;
  }
  if (found.length === 0) return false;
  const resources = found.map((kind) => ({
    name: kind.resource,
    singularName: kind.singular,
    namespaced: kind.isNamespaced,
    kind: kind.kind,
    verbs,
    ...(kind.shortNames && { shortNames: kind.shortNames }),
  }));
  await exchange.json(200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: wanted, resources });
  return true;
}

/** What is only asked, never stored: `kubectl auth can-i` and `kubectl auth whoami`. */
const reviews: Readonly<Record<string, object>> = {
  'authorization.k8s.io/v1': {
    name: 'selfsubjectaccessreviews',
    singularName: 'selfsubjectaccessreview',
    namespaced: false,
    kind: 'SelfSubjectAccessReview',
    verbs: ['create'],
  },
  'authentication.k8s.io/v1': {
    name: 'selfsubjectreviews',
    singularName: 'selfsubjectreview',
    namespaced: false,
    kind: 'SelfSubjectReview',
    verbs: ['create'],
  },
};

function apiGroup({ group, version: groupVersion }: { group: string; version: string }) {
  const entry = { groupVersion: `${group}/${groupVersion}`, version: groupVersion };
  return { name: group, versions: [entry], preferredVersion: entry };
}

function aggregated(isCore: boolean, discoveryVersion: string) {
  const groups = isCore ? [{ group: '', version: 'v1' }] : groupVersions();
  const items = groups.map((entry) => ({
    metadata: { name: entry.group, creationTimestamp: null },
    versions: [
      {
        version: entry.version,
        resources: kinds.filter((kind) => apiVersionOf(kind) === apiVersionOf(entry)).map(aggregatedResource),
        freshness: 'Current',
      },
    ],
  }));
  const type = { kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${discoveryVersion}` };
  return { ...type, metadata: {}, items };
}

function aggregatedResource(kind: Kind) {
  return {
    resource: kind.resource,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs,
    ...(kind.shortNames && { shortNames: kind.shortNames }),
  };
}

async function openApiV2(exchange: Exchange, accept: string): Promise<void> {
  if (accept.includes('protobuf')) {
    // Field 1 (swagger) = "2.0": a document that knows no schema, so kubectl checks nothing itself.
    const document = Buffer.from([0x0a, 0x03, 0x32, 0x2e, 0x30]);
    await exchange.send(200, document, { 'content-type': protobufV2 });
    return;
  }
  await exchange.json(200, {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: version.gitVersion },
    paths: {},
  });
}

function openApiPath({ group, version: groupVersion }: { group: string; version: string }): string {
  return group ? `apis/${group}/${groupVersion}` : `api/${groupVersion}`;
}

function openApiV3Paths() {
  const all = [{ group: '', version: 'v1' }, ...groupVersions()].map(openApiPath);
  return Object.fromEntries(all.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=0` }]));
}

/** Says of each kind that PATCH takes fieldValidation: so kubectl leaves the checking to the server. */
function openApiV3(path: string) {
  const found = kinds.filter((kind) => openApiPath(kind) === path);
  if (found.length === 0) return failure(404, 'NotFound', 'the server could not find the requested resource');
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({
    name,
    in: 'query',
    schema: { type: 'string', uniqueItems: true },
  }));
  const paths = found.map((kind) => {
    const scope = kind.isNamespaced ? 'namespaces/{namespace}/' : '';
    const gvk = { group: kind.group, version: kind.version, kind: kind.kind };
    const patch = {
      parameters,
      responses: {},
      'x-kubernetes-action': 'patch',
      'x-kubernetes-group-version-kind': gvk,
    };
    return [`/${path}/${scope}${kind.resource}/{name}`, { patch }] as const;
  });
  const info = { title: 'Kubernetes', version: version.gitVersion };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths), components: { schemas: {} } };
}
