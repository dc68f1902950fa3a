// The watch against an API server that says things which the stand-in does not: a history that runs
// backwards, errors within a watch, watches that end at once.
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { SliceWatch } from '../../../src/kubernetes/slice-watch.ts';
import type { SliceWatchTimings } from '../../../src/kubernetes/slice-watch-options.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { testTimings } from './harness.ts';

let server: Server | undefined;
let watch: SliceWatch | undefined;
afterEach(async () => {
  await watch?.stop();
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
});

type Line = { readonly type: string; readonly object: unknown };
const at = (resourceVersion: string) => ({ metadata: { resourceVersion } });
const status = (code: number, reason: string) => ({ kind: 'Status', code, reason });

/** `watching` is given each watch, already open; `lists` are the resourceVersions of the lists, the last one stays. */
async function start(
  watching: (say: (line: Line) => void, response: ServerResponse, count: number) => void,
  lists: readonly string[] = ['1000'],
  timings: Partial<SliceWatchTimings> = {},
) {
  const ca = await makeCa();
  const leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['127.0.0.1'] });
  const asked = { lists: 0, watches: [] as (string | null)[] };
  const heard: string[] = [];
  server = createServer({ cert: leaf.cert, key: leaf.key }, (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'https://x');
    response.setHeader('content-type', 'application/json');
    if (!searchParams.has('watch')) {
      const resourceVersion = lists[Math.min(asked.lists, lists.length - 1)];
      asked.lists += 1;
      response.end(JSON.stringify({ kind: 'EndpointSliceList', metadata: { resourceVersion }, items: [] }));
      return;
    }
    asked.watches.push(searchParams.get('resourceVersion'));
    response.flushHeaders();
    watching((line) => void response.write(`${JSON.stringify(line)}\n`), response, asked.watches.length);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const endpoint = makeEndpoint('127.0.0.1', (server.address() as AddressInfo).port);
  watch = new SliceWatch({
    namespace: 'default',
    service: 'kubernetes',
    credentials: {
      current: { kind: 'token', token: 't', ca: ca.cert },
      started: Promise.resolve(),
      problem: undefined,
      reload: async () => false,
      subscribe: () => () => {},
    },
    order: () => [endpoint],
    sink: {
      listed: () => heard.push('list'),
      changed: (change) => heard.push(change),
      confirmed: () => heard.push('bookmark'),
    },
    clock: systemClock,
    random: Math.random,
    log: recordingLog(),
    timings: { ...testTimings, ...timings },
  });
  watch.start();
  return { asked, heard, watch };
}

test('the watch goes on from the last version that it heard of', async () => {
  const { asked, heard } = await start((say, response, count) => {
    if (count > 1) return;
    say({ type: 'ADDED', object: at('1005') });
    say({ type: 'BOOKMARK', object: at('1010') });
    setTimeout(() => response.end(), 700);
  });
  await eventually('the second watch', () => asked.watches.length === 2);
  expect(asked).toEqual({ lists: 1, watches: ['1000', '1010'] });
  expect(heard).toEqual(['list', 'ADDED', 'bookmark']);
});

test('a history that runs backwards, as after a restored backup, leads to a new list', async () => {
  const { asked, watch } = await start(
    (say, _, count) => {
      if (count === 1) say({ type: 'BOOKMARK', object: at('50') });
    },
    ['1000', '51'],
  );
  await eventually('the second watch', () => asked.watches.length === 2);
  expect(asked).toEqual({ lists: 2, watches: ['1000', '51'] });
  await eventually('it is well', () => watch.state.state === 'synced');
});

test.each([
  [410, 'Expired'],
  [500, 'InternalError'],
  [504, 'Timeout'],
])('an error %i within a watch leads to a new list', async (code, reason) => {
  const { asked, watch } = await start((say, response, count) => {
    if (count > 1) return;
    say({ type: 'ERROR', object: status(code, reason) });
    response.end();
  });
  await eventually('the second list', () => asked.lists === 2);
  await eventually('it is well', () => watch.state.state === 'synced');
});

test('a watch that says 410 for ever is asked at a growing distance', async () => {
  const startedMs = performance.now();
  const { asked } = await start((say) => say({ type: 'ERROR', object: status(410, 'Expired') }));
  await eventually('many attempts', () => asked.watches.length >= 10);
  // Two attempts a round, and waits of 25, 50, 100 and 150 ms at least between five rounds.
  expect(performance.now() - startedMs).toBeGreaterThan(325);
});

test('watches that end at once are no endless, fast loop', async () => {
  const startedMs = performance.now();
  const { asked, watch } = await start((_, response) => response.end());
  await eventually('many attempts', () => asked.watches.length >= 5);
  expect(performance.now() - startedMs).toBeGreaterThan(325);
  expect(watch.state).toMatchObject({ message: expect.stringContaining('ended immediately') });
});

test.each([
  ['no JSON', 'hello\n'],
  ['no event', '{"kind":"Status"}\n'],
  ['an unknown type', '{"type":"PURGED","object":{}}\n'],
])('%s in a watch is garbage, and leads to a new list', async (_, text) => {
  const { asked } = await start((_say, response, count) => void (count === 1 && response.write(text)));
  await eventually('the second watch', () => asked.watches.length === 2);
  expect(asked.lists).toBe(2);
});

test('a new list is made now and then, though the watch goes on', async () => {
  const { asked } = await start((_, response) => void setTimeout(() => response.end(), 600), ['1000'], {
    relistMs: 1,
  });
  await eventually('the second list', () => asked.lists === 2);
});

test('a kick during an attempt that then fails leaves out the wait', async () => {
  const { asked, watch } = await start(() => {}, ['1000'], {
    goodWatchMs: 60_000,
    answerMs: 60_000,
    backoff: { firstMs: 3_600_000, capMs: 3_600_000 },
  });
  await eventually('the first watch', () => asked.watches.length === 1);
  server?.closeAllConnections();
  server?.removeAllListeners('request');
  // From here requests hang, so that an attempt is under way when the kick comes.
  const pending: ServerResponse[] = [];
  server?.on('request', (_request, response: ServerResponse) => void pending.push(response));
  await eventually('it has failed', () => watch.state.failures > 0);
  watch.kick();
  await eventually('the attempt', () => pending.length === 1);
  watch.kick();
  pending[0]?.destroy();
  await eventually('another attempt, an hour early', () => pending.length === 2);
});
