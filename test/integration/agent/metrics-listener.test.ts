// The metrics listener: apart from the admin server, off by default, and never in the way of serving.
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { startMetricsListener } from '../../../src/observe/metrics-listener.ts';
import { Rendering } from '../../../src/observe/rendering.ts';
import type { AgentProcess } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

const suite = agentSuite();

/** No API server answers: metrics do not depend on that. */
const start = (...args: readonly string[]) => suite.startAgent({ endpoints: ['127.0.0.1:1'], args });

const servedAt = ({ log }: AgentProcess) =>
  log.find(({ msg }) => msg === 'serving metrics')?.address as string | undefined;

function statusOf(address: string, path: string, method: string): Promise<number | undefined> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    request({ host, port, path, method }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

test('--metrics serves /metrics and nothing else', async () => {
  const agent = await start('--metrics', '127.0.0.1:0');
  const address = servedAt(agent) ?? '';
  const [own, admin] = await Promise.all([fetch(`http://${address}/metrics`), agent.get('/metrics')]);
  expect(own.status).toBe(200);
  expect(own.headers.get('content-type')).toBe(admin.headers.get('content-type'));
  expect(await own.text()).toContain('fairlead_build_info{');
  for (const path of ['/', '/status', '/livez', '/readyz', '/healthz', '/metrics/']) {
    expect([path, await statusOf(address, path, 'GET')]).toEqual([path, 404]);
  }
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect(await statusOf(address, '/metrics', method)).toBe(405);
});

test('without it there is none', async () => {
  const agent = await start();
  expect(servedAt(agent)).toBeUndefined();
});

test('another address than loopback needs no allowNonLoopback', async () => {
  const agent = await start('--metrics', '0.0.0.0:0');
  const port = servedAt(agent)?.split(':').at(-1);
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
});

test('an address that is taken keeps nobody from being served; it is tried again until it is free', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  const clock = new FakeClock();
  const log = recordingLog();
  const metrics = new Rendering({
    clock,
    perSecond: 1,
    render: () => Promise.resolve({ contentType: 'text/plain', body: 'up 1\n' }),
  });
  const listener = await startMetricsListener({ listen: { host: '127.0.0.1', port }, log, clock, metrics });
  expect(log.lines).toMatchObject([{ level: 'warn', fields: { code: 'EADDRINUSE' } }]);
  await clock.advance(5_000);
  await eventually('it has tried again', () => clock.pendingTimers === 1);
  holder.close();
  await once(holder, 'close');
  await clock.advance(5_000);
  await eventually('it is served', () => log.lines.at(-1)?.message === 'serving metrics');
  // The same reason was told once.
  expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
  await listener.stop();
  await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow();
  expect(clock.pendingTimers).toBe(0);
});
