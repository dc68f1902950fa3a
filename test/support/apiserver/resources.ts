// Reads of resources: get, list (with limit and continue) and watch, of any kind, out of the store.
import type { Exchange } from './exchange.ts';
import { type Kind, keyOf, keyPrefix } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import type { RequestInfo } from './request-info.ts';
import { type Matcher, parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { badRequest, expired, failure, notFound, StatusError, timedOut } from './status.ts';
import type { ListResult, StoreApi, StoredValue } from './store.ts';
import { negotiate, type Representation, represent, representList } from './table.ts';
import { WatchStream, type WatchStreamOptions, withRevision } from './watch-stream.ts';

/** What reads need from the API server around them. */
export interface ReadContext extends Pick<WatchStreamOptions, 'audible' | 'bookmarkIntervalMs' | 'distort'> {
  readonly store: StoreApi;
  /** Runs a store operation; ends it with 504 when the store hangs for longer than the server's limit. */
  inTime<T>(operation: Promise<T>): Promise<T>;
  /** Keeps track of the open watches of the server. */
  watchOpened(stream: WatchStream, exchange: Exchange): void;
}

interface ContinueToken {
  readonly revision: number;
  readonly after: string;
}

export function representationFor(exchange: Exchange): Representation {
  const as = negotiate(exchange.headers.accept);
  if (as) return as;
  const message = 'only the following media types are accepted: application/json, application/yaml';
  throw new StatusError(failure(406, 'NotAcceptable', message));
}

export function fromStore({ value, revision }: StoredValue): KubeObject {
  return withRevision(value, revision);
}

export async function getObject(
  exchange: Exchange,
  kind: Kind,
  info: RequestInfo,
  context: ReadContext,
): Promise<void> {
  const { namespace, name = '' } = info.resource ?? {};
  const as = representationFor(exchange);
  const key = keyOf(kind, kind.isNamespaced ? namespace : undefined, name);
  const found = await context.inTime(context.store.get(key));
  if (!found) throw new StatusError(notFound(kind, name));
  const includeObject = exchange.parameter('includeObject');
  const body = represent(kind, fromStore(found), as, { ...(includeObject && { includeObject }) });
  await exchange.json(200, context.distort(kind, body));
}

export async function listObjects(
  exchange: Exchange,
  kind: Kind,
  info: RequestInfo,
  context: ReadContext,
): Promise<void> {
  const as = representationFor(exchange);
  const prefix = keyPrefix(kind, kind.isNamespaced ? info.resource?.namespace : undefined);
  const matches = selection(exchange);
  const limit = exchange.number('limit') || Number.POSITIVE_INFINITY;
  const token = parseContinue(exchange.parameter('continue'));
  const version = exchange.parameter('resourceVersion');
  const match = exchange.parameter('resourceVersionMatch');
  const exact = match === 'Exact' && version ? Number(version) : undefined;
  const asked = token?.revision ?? exact;
  const result = await context.inTime(context.store.list(prefix, asked));
  if (!result.ok) throw new StatusError(continueExpired(token, version, result));
  if (!token && version && Number(version) > result.revision) {
    throw new StatusError(timedOut(`Too large resource version: ${version}, current: ${result.revision}`), {
      'retry-after': '1',
    });
  }
  const all = result.items
    .filter(({ key }) => !token || key > token.after)
    .map((item) => [item.key, fromStore(item)] as const);
  const selected = all.filter(([, object]) => matches(object));
  const page = selected.slice(0, limit);
  const last = page.at(-1);
  const remaining = selected.length - page.length;
  const metadata = {
    resourceVersion: String(result.revision),
    ...(remaining > 0 &&
      last && {
        continue: formatContinue({ revision: result.revision, after: last[0] }),
        remainingItemCount: remaining,
      }),
  };
  const objects = page.map(([, object]) => object);
  const body = representList(kind, objects, metadata, as, exchange.parameter('includeObject'));
  await exchange.json(200, context.distort(kind, body));
}

export async function watchObjects(
  exchange: Exchange,
  kind: Kind,
  info: RequestInfo,
  context: ReadContext,
): Promise<void> {
  const as = representationFor(exchange);
  const prefix = keyPrefix(kind, kind.isNamespaced ? info.resource?.namespace : undefined);
  const matches = selection(exchange);
  const version = exchange.parameter('resourceVersion') ?? '';
  if (version !== '' && !/^\d+$/.test(version)) {
    throw new StatusError(badRequest(`invalid resource version "${version}"`));
  }
  const sendsInitialEvents = exchange.flag('sendInitialEvents');
  const includeObject = exchange.parameter('includeObject');
  // Without a time-out of its own a watch lasts a random 30 to 60 minutes (--min-request-timeout).
  const timeoutSeconds = exchange.number('timeoutSeconds') || 1800 * (1 + Math.random());
  const current = await context.inTime(context.store.list(prefix));
  // Without a version, or from "0", a watch starts with what there is.
  const isFromNow = version === '' || version === '0' || sendsInitialEvents;
  const afterRevision = isFromNow ? current.revision : Number(version);
  const stream = new WatchStream(exchange, {
    kind,
    matches,
    as,
    ...(includeObject && { includeObject }),
    hasBookmarks: exchange.flag('allowWatchBookmarks'),
    bookmarkIntervalMs: context.bookmarkIntervalMs,
    timeoutMs: Math.min(timeoutSeconds * 1000, 2 ** 31 - 1),
    audible: context.audible,
    distort: context.distort,
    storeRevision: () => context.store.revision(),
  });
  context.watchOpened(stream, exchange);
  await stream.open();
  if (isFromNow && current.ok) {
    for (const object of current.items.map(fromStore).filter(matches)) stream.initial(object);
    if (sendsInitialEvents) stream.bookmark(current.revision, { 'k8s.io/initial-events-end': 'true' });
  }
  const result = await context.store.watch(prefix, afterRevision, {
    onEvent: (event) => stream.event(event),
  });
  if (result.ok) {
    stream.attach(result.watch);
  } else {
    // After the request was accepted an error is an event, not a status code.
    stream.error(expired(version, result.revision));
    stream.end();
  }
}

function selection(exchange: Exchange): Matcher {
  const byLabel = parseLabelSelector(exchange.parameter('labelSelector') ?? '');
  const byField = parseFieldSelector(exchange.parameter('fieldSelector') ?? '');
  return (object) => byLabel(object) && byField(object);
}

function formatContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function parseContinue(text: string | undefined): ContinueToken | undefined {
  if (!text) return undefined;
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString()) as ContinueToken;
  } catch {
    throw new StatusError(badRequest('continue key is not valid'));
  }
}

function continueExpired(token: ContinueToken | undefined, version: string | undefined, result: ListResult) {
  if (!token) return expired(version ?? '', result.revision);
  const message =
    'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.';
  return failure(410, 'Expired', message);
}
