// What happens to one request, in the order of a kube-apiserver's filters: stopped? who? may they? then the
// handler. The misbehaviours of the HTTP layer are here.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type AnonymousMode,
  authenticate,
  bearerToken,
  forbidden,
  type Grant,
  isAllowed,
  type User,
} from './access.ts';
import { answerDiscovery } from './discovery-docs.ts';
import type { Exchange } from './exchange.ts';
import {
  answerHealth,
  answerOneCheck,
  checksOf,
  type HealthPath,
  type StoreCheckName,
  startupHooks,
  storeChecks,
} from './health.ts';
import { isHostile, sendHostileBody } from './hostile-body.ts';
import { findKind, type Kind } from './kinds.ts';
import type { Connection } from './listener.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import type { KubeObject } from './objects.ts';
import { type RequestInfo, requestInfo } from './request-info.ts';
import { getObject, listObjects, type ReadContext, watchObjects } from './resources.ts';
import { type PodAction, refuse, streamPod } from './pod-streams.ts';
import { failure, pathNotFound, StatusError, unauthorized } from './status.ts';
import {
  createObject,
  deleteCollection,
  deleteObject,
  patchObject,
  readObject,
  updateObject,
} from './writes.ts';

/** Where the API server is in its life. */
export type Phase =
  | 'down'
  | 'silent'
  | 'forbidden'
  | 'hooks'
  | 'ready'
  /** The shutdown delay: /readyz fails, all else works. */
  | 'delaying'
  /** Requests get 429. */
  | 'refusing'
  /** The listener is closed, what is open ends. */
  | 'draining';

/** What a request needs to know of its server. */
export interface HandlerContext extends ReadContext {
  readonly phase: Phase;
  readonly behaviour: Misbehaviour;
  readonly anonymous: AnonymousMode;
  readonly tokens: ReadonlyMap<string, User>;
  readonly grants: readonly Grant[];
  /** `host:port`, for documents that name the server. */
  readonly address: string;
  storePasses(check: StoreCheckName): Promise<boolean>;
  sleep(delayMs: number): Promise<void>;
}

const healthPath = /^\/(readyz|livez|healthz)(?:\/(.+))?$/;
const bytesBlock = Buffer.alloc(65_536, 'fairlead ');

export async function handle(
  exchange: Exchange,
  connection: Connection,
  context: HandlerContext,
): Promise<void> {
  try {
    await route(exchange, connection, context);
  } catch (error) {
    if (error instanceof StatusError) await exchange.status(error.status, error.headers);
    else if (!exchange.isClosed) await exchange.status(failure(500, 'InternalError', String(error)));
  }
}

async function route(exchange: Exchange, connection: Connection, context: HandlerContext): Promise<void> {
  const { path, method } = exchange;
  await misbehaveFirst(exchange, context);
  if (exchange.isClosed) return;
  const [, checkPath, check] = healthPath.exec(path) ?? [];
  const isHealth = checkPath !== undefined;
  // --shutdown-send-retry-after: all but the health paths.
  if (context.phase === 'refusing' && !isHealth) {
    connection.isClosing = true;
    const status = failure(429, 'TooManyRequests', 'The apiserver is shutting down, please try again later.');
    throw new StatusError(status, { 'retry-after': '5', connection: 'close' });
  }
  const { unauthorized: refuses } = context.behaviour;
  const token = bearerToken(exchange.headers);
  const user = authenticate(
    { ...(connection.user && { certificate: connection.user }), ...(token !== undefined && { token }) },
    context.tokens,
    context.anonymous,
    path,
  );
  if (!user || refuses === 'all' || (refuses === 'api' && !isHealth)) throw new StatusError(unauthorized);
  const info = requestInfo(method, path, exchange.flag('watch'));
  const isRbacLoaded = context.phase !== 'forbidden';
  if (!isAllowed(user, info, context.grants, { isRbacLoaded, mode: context.anonymous })) {
    throw new StatusError(forbidden(user, info));
  }
  if (isHealth) await health(exchange, checkPath as HealthPath, check, context);
  else if (info.resource) await resource(exchange, info, user, context);
  else if (!(await special(exchange, context)) && !(await answerDiscovery(exchange, context.address))) {
    await exchange.text(404, pathNotFound);
  }
}

async function misbehaveFirst(exchange: Exchange, { behaviour, sleep }: HandlerContext): Promise<void> {
  let delayMs = behaviour.delayMs;
  for (const [prefix, extraMs] of Object.entries(behaviour.delaysMs)) {
    if (exchange.path.startsWith(prefix)) delayMs += extraMs;
  }
  if (delayMs > 0) await sleep(delayMs);
  const code = behaviour.answerStatus;
  if (code === 0) return;
  const headers: Record<string, string> = code === 429 || code === 503 ? { 'retry-after': '1' } : {};
  throw new StatusError(failure(code, 'Misbehaving', `told to answer ${code}`), headers);
}

/** The checks of the path that fail now; those of etcd are asked one after the other, and not when they are left out. */
async function failingChecks(
  path: HealthPath,
  asked: (check: string) => boolean,
  context: HandlerContext,
): Promise<Set<string>> {
  const { behaviour, phase } = context;
  const failing = new Set(path === 'readyz' ? behaviour.failReadyz : behaviour.failLivez);
  if (phase === 'forbidden' || phase === 'hooks') for (const hook of startupHooks) failing.add(hook);
  if (path === 'readyz' && (phase === 'delaying' || phase === 'refusing')) failing.add('shutdown');
  for (const check of storeChecks) {
    if (!checksOf[path].includes(check) || !asked(check)) continue;
    if (!(await context.storePasses(check))) failing.add(check);
  }
  return failing;
}

async function health(
  exchange: Exchange,
  path: HealthPath,
  check: string | undefined,
  context: HandlerContext,
): Promise<void> {
  const { health: body } = context.behaviour;
  if (body === 'not-http') {
    exchange.request.socket.write('\0\0\0 this is no HTTP at all \r\n\r\n');
    exchange.destroyConnection('close');
    return;
  }
  if (body === 'oversized') return bytes(exchange, 64 * 1024 * 1024);
  if (body !== 'good') return sendHostileBody(exchange, body, context.behaviour.hostileBytes);
  const isVerbose = exchange.url.searchParams.has('verbose');
  const excluded = exchange.url.searchParams.getAll('exclude');
  const asked = (name: string) => (check === undefined ? !excluded.includes(name) : check === name);
  const failing = await failingChecks(path, asked, context);
  const answer =
    check === undefined
      ? answerHealth(path, failing, { isVerbose, excluded })
      : answerOneCheck(path, check, failing);
  if (answer) await exchange.text(answer.status, answer.body, { 'cache-control': 'no-cache, private' });
  else await exchange.text(404, pathNotFound);
}

/** Paths that no real API server has: something large to download, something slow to wait for. */
async function special(exchange: Exchange, { sleep }: HandlerContext): Promise<boolean> {
  if (exchange.path === '/bench/bytes') {
    if (exchange.method === 'GET') await bytes(exchange, exchange.number('size') ?? 1_000_000);
    else await exchange.json(200, { received: (await exchange.body()).length });
    return true;
  }
  if (exchange.path === '/slow') {
    await sleep(exchange.number('ms') ?? 1_000);
    await exchange.text(200, 'ok');
    return true;
  }
  return false;
}

async function bytes(exchange: Exchange, size: number): Promise<void> {
  const length = Number.isFinite(size) ? { 'content-length': size } : {};
  await exchange.begin(200, { 'content-type': 'application/octet-stream', ...length }, size === 0);
  let left = size;
  while (left > 0) {
    if (!(await exchange.write(left < bytesBlock.length ? bytesBlock.subarray(0, left) : bytesBlock))) return;
    left -= bytesBlock.length;
  }
  await exchange.end();
}

async function resource(
  exchange: Exchange,
  info: RequestInfo,
  user: User,
  context: HandlerContext,
): Promise<void> {
  const { group, resource: name } = info.resource ?? { group: '', resource: '' };
  if (name === 'selfsubjectaccessreviews' && info.verb === 'create') return review(exchange, user, context);
  if (name === 'selfsubjectreviews' && info.verb === 'create') return whoAmI(exchange, user);
  const kind = findKind(group, info.version ?? '', name);
  if (kind?.resource === 'pods' && info.resource?.subresource === 'log') return podLog(exchange, context);
  if (!kind || info.resource?.subresource) {
    await exchange.text(404, pathNotFound);
    return;
  }
  const { slices, slicesFor, hostileBytes } = context.behaviour;
  const isMeant = slicesFor === 'all' || slicesFor === info.verb;
  if (kind.resource === 'endpointslices' && isHostile(slices) && isMeant)
    return sendHostileBody(exchange, slices, hostileBytes);
  if (kind.resource === 'endpointslices' && (slices === 'not-json' || slices === 'truncated')) {
    const body =
      slices === 'not-json' ? '<html>not JSON</html>\n' : '{"kind":"EndpointSliceList","items":[{"metad';
    await exchange.send(200, Buffer.from(body), { 'content-type': 'application/json' });
    return;
  }
  await handlerOf(info.verb)(exchange, kind, info, context);
}

/** Three lines, and with `follow` one more every now and then. */
async function podLog(exchange: Exchange, { sleep }: HandlerContext): Promise<void> {
  await exchange.begin(200, { 'content-type': 'text/plain' });
  for (let line = 1; line <= 3; line += 1) if (!(await exchange.write(`line ${line}\n`))) return;
  for (let line = 4; exchange.flag('follow'); line += 1) {
    await sleep(100);
    if (!(await exchange.write(`line ${line}\n`))) return;
  }
  await exchange.end();
}

const podStream = /^\/api\/v1\/namespaces\/[^/]+\/pods\/[^/]+\/(exec|attach|portforward)$/;

/** A request for an upgrade: the same filters, then the streams of a pod. */
export function handleUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  connection: Connection,
  context: HandlerContext,
): void {
  const path = new URL(request.url ?? '/', 'https://stand-in').pathname;
  const token = bearerToken(request.headers);
  const user = authenticate(
    { ...(connection.user && { certificate: connection.user }), ...(token !== undefined && { token }) },
    context.tokens,
    context.anonymous,
    path,
  );
  const info = requestInfo(request.method ?? 'GET', path, false);
  const action = podStream.exec(path)?.[1] as PodAction | undefined;
  if (!user) refuse(socket, 'Unauthorized', '401 Unauthorized');
  else if (!isAllowed(user, info, context.grants)) refuse(socket, 'Forbidden', '403 Forbidden');
  else if (!action) refuse(socket, pathNotFound, '404 Not Found');
  else streamPod(request, socket, head, action);
}

function handlerOf(verb: string) {
  switch (verb) {
    case 'get':
      return getObject;
    case 'list':
      return listObjects;
    case 'watch':
      return watchObjects;
    case 'create':
      return createObject;
    case 'update':
      return updateObject;
    case 'patch':
      return patchObject;
    case 'delete':
      return deleteObject;
    case 'deletecollection':
      return deleteCollection;
    default: {
      const message = 'the server does not allow this method on the requested resource';
      throw new StatusError(failure(405, 'MethodNotAllowed', message, {}));
    }
  }
}

/** `kubectl auth whoami`. */
async function whoAmI(exchange: Exchange, { name: username, groups }: User): Promise<void> {
  await exchange.body();
  const type = { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' };
  await exchange.json(201, { ...type, metadata: {}, status: { userInfo: { username, groups } } });
}

/** `kubectl auth can-i`. */
async function review(exchange: Exchange, user: User, context: HandlerContext): Promise<void> {
  const object = await readObject(exchange);
  const spec = object.spec as {
    resourceAttributes?: {
      verb?: string;
      group?: string;
      resource?: string;
      namespace?: string;
      name?: string;
    };
    nonResourceAttributes?: { verb?: string; path?: string };
  };
  const { verb = '', group = '', resource: name = '', namespace } = spec.resourceAttributes ?? {};
  const attributes = spec.nonResourceAttributes
    ? { verb: spec.nonResourceAttributes.verb ?? '', path: spec.nonResourceAttributes.path ?? '' }
    : { verb, path: '', resource: { group, resource: name, ...(namespace && { namespace }) } };
  const allowed = isAllowed(user, attributes, context.grants, { mode: context.anonymous });
  const type = { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1' };
  await exchange.json(201, { ...type, metadata: {}, spec, status: { allowed } });
}

/** EndpointSlices as no API server should send them. */
export function distortSlices(kind: Kind, body: unknown, slices: Misbehaviour['slices']): unknown {
  if (kind.resource !== 'endpointslices' || slices === 'good' || isHostile(slices)) return body;
  const value = body as KubeObject & { items?: KubeObject[] };
  if (Array.isArray(value.items)) {
    if (slices === 'empty-list') return { ...value, items: [] };
    if (slices === 'null-items') return { ...value, items: null };
    return { ...value, items: value.items.map((item) => distortSlice(item, slices)) };
  }
  return distortSlice(value, slices);
}

function distortSlice(slice: KubeObject, slices: Misbehaviour['slices']): unknown {
  if (slices === 'wrong-types')
    return { ...slice, addressType: 7, endpoints: 'none', ports: { https: '6443' } };
  if (slices === 'bad-addresses') {
    const endpoints = [{ addresses: ['not an address', '', '0.0.0.0', null] }, { addresses: null }, null];
    return { ...slice, endpoints, ports: [{ name: 'https', port: 99_999 }, null] };
  }
  return { ...slice, endpoints: null, ports: null };
}
